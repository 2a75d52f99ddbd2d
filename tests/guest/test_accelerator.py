"""What the probe for KVM makes of kernels that boot, end, or say nothing; with boots that are played."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.errors import UsageError
from pytest_kbisect.guest import accelerator


@pytest.fixture
def host(monkeypatch):
    """A host where /dev/kvm opens; `answers` are for each boot in turn, by -cpu, the last one for ever."""
    host = SimpleNamespace(answers={}, asked=[], limits=[], takes=0.0)

    def boots(name, cpu, kernel, cache, architecture, *, limit=5.0):
        host.limits.append(limit)
        cpu = "tcg" if name == "tcg" else cpu
        host.asked.append(cpu)
        time.sleep(host.takes)
        answers = host.answers[cpu]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    monkeypatch.setattr(accelerator, "boots", boots)
    monkeypatch.setattr(accelerator, "device_trouble", lambda: "")
    monkeypatch.setattr(type(DEFAULT), "is_native", lambda _: True)
    return host


def choose(tmp_path, wanted="auto"):
    chosen = accelerator.choose(wanted, tmp_path, tmp_path / "bzImage")
    return chosen.cpu if chosen.name == "kvm" else "tcg"


@pytest.mark.parametrize(
    ("host_cpu", "qemu64", "tcg", "chosen", "kept"),
    [
        ([True], [], [], "host", True),
        ([False], [True], [], "qemu64", True),
        ([False], [False], [True], "tcg", True),
        ([False], [False], [False], "tcg", False),  # the kernel's fault
        ([None, True], [True], [True], "host", True),  # the host was busy
        ([None, False], [True], [True], "qemu64", True),
        ([None, None], [True], [True], "qemu64", True),  # it is not now, and KVM hangs
        ([None, None], [None], [True], "tcg", True),
        ([None], [True], [None], "qemu64", False),  # it still is
        ([None], [None], [None], "tcg", False),
    ],
)
def test_what_is_chosen_and_whether_it_is_remembered(host, tmp_path, host_cpu, qemu64, tcg, chosen, kept):
    host.answers = {"host": host_cpu, "qemu64": qemu64, "tcg": tcg}
    assert choose(tmp_path) == chosen
    asked = len(host.asked)
    assert choose(tmp_path) == chosen
    assert (len(host.asked) == asked) is kept


def test_a_slow_emulation_says_that_the_host_is_busy(host, tmp_path, monkeypatch):
    monkeypatch.setattr(accelerator, "_LIMIT", 0.1)
    host.takes = 0.2
    host.answers = {"host": [None], "qemu64": [True], "tcg": [True]}
    assert choose(tmp_path) == "qemu64"
    assert host.limits[-1] == pytest.approx(0.6, abs=0.2)  # as slow as that KVM cannot be
    assert not (tmp_path / "accelerator.json").exists()
    host.takes = 0.0
    assert choose(tmp_path) == "qemu64"
    assert (tmp_path / "accelerator.json").exists()


def test_two_processes_do_not_probe_at_a_time(host, tmp_path):
    """One of two on a busy host found that "host" said nothing in time, and its answer was remembered."""
    host.answers = {"host": [True], "qemu64": [True]}
    host.takes = 0.2
    chosen = []
    threads = [threading.Thread(target=lambda: chosen.append(choose(tmp_path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert chosen == ["host", "host"]
    assert host.asked == ["host"]


def test_kvm_by_name_where_it_hangs(host, tmp_path):
    host.answers = {"host": [None], "qemu64": [None], "tcg": [True]}
    with pytest.raises(UsageError, match=r"KVM does not work here: .*; use --kbisect-accel tcg"):
        choose(tmp_path, "kvm")
