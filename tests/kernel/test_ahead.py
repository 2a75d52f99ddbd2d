"""Building ahead, on a miniature Linux with a real make: it is there when wanted, gives way until then."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_kbisect.errors import BuildError
from pytest_kbisect.kernel import config, holders, provide
from pytest_kbisect.kernel.ahead import BuildAhead
from pytest_kbisect.kernel.rules import BuildRules
from pytest_kbisect.kernel.tree import LinuxTree

RULES = BuildRules(store_limit=10 << 30)


@pytest.fixture
def ahead(linux, cache):
    with BuildAhead(linux.path, [config.request()], cache=cache, rules=RULES) as ahead:
        yield ahead


@pytest.fixture
def give(linux, cache):
    def give(commit):
        give.said = []
        tree = LinuxTree(linux.path, cache)
        return provide.provide(tree, commit, config.request(), jobs=2, rules=RULES, progress=give.said.append)

    return give


def wait_until(true, seconds=300):
    deadline = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
    return value


def compiling(cache):
    """The make of a build that has come as far as its compiler."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if "slowly.sh" in path.joinpath("cmdline").read_text() and path.joinpath(
                "cwd"
            ).resolve().is_relative_to(cache):
                return int(path.name)
    return 0


def test_what_it_built_is_in_the_store(linux, ahead, give):
    assert ahead.start(linux.base, jobs=1)
    wait_until(lambda: not ahead.commit)
    with give(linux.base) as kernel:
        assert kernel.cached
    assert give.said == []


def test_a_failure_is_in_the_store(linux, ahead, give):
    broken = linux.commit("Broken", {"init/main.c": "int"})
    ahead.start(broken, jobs=1)
    wait_until(lambda: not ahead.commit)
    with pytest.raises(BuildError), give(broken):
        pass
    assert give.said == []


def test_nothing_is_built_where_guests_have_all_processors(linux, ahead):
    assert not ahead.start(linux.base, jobs=0)
    assert ahead.commit == ""


def test_compilers_run_when_nobody_else_wants_to(linux, cache, ahead):
    slow = linux.commit("Slow", {"scripts/slowly.sh": "sleep 30\n"})
    ahead.start(slow, jobs=1)
    compiler = wait_until(lambda: compiling(cache))
    assert os.getpriority(os.PRIO_PROCESS, compiler) == 19
    assert os.sched_getscheduler(compiler) == os.SCHED_IDLE
    ahead.start(slow, jobs=1)
    assert compiling(cache) == compiler


def test_who_wants_the_kernel_takes_the_build_over(linux, cache, ahead, give):
    # The first build of it takes long, a second one does not.
    slow = linux.commit(
        "Slow", {"scripts/slowly.sh": f"test -e {cache}/begun || {{ touch {cache}/begun; sleep 600; }}\n"}
    )
    ahead.start(slow, jobs=1)
    wait_until(lambda: compiling(cache))
    began = time.monotonic()
    with give(slow) as kernel:
        assert not kernel.cached
        assert kernel.spent.waiting > 0
    assert time.monotonic() - began < 300
    assert give.said[0] == "take over from the process that builds this kernel ahead"
    assert "configure" not in give.said
    wait_until(lambda: not ahead.commit)
    assert len(list(cache.glob("trees/*/*/tree"))) == 1


def test_stopped_midway_it_leaves_a_folder_to_go_on_from(linux, cache, ahead, give):
    ahead.start(linux.commit("Slow", {"scripts/slowly.sh": "sleep 100\n"}), jobs=1)
    wait_until(lambda: compiling(cache))
    ahead.stop()
    assert not compiling(cache)
    assert not list(cache.glob("trees/*/*/tree/.obj-*/.kbisect-building"))
    with give(linux.commit("Quick", {"scripts/slowly.sh": "\n"})) as kernel:
        assert kernel.signature
    assert len(list(cache.glob("trees/*/*/tree"))) == 1


def drive(path, cache, commit):
    ahead = BuildAhead(path, [config.request()], cache=cache, rules=RULES)
    ahead.start(commit, jobs=1)
    time.sleep(100)


def test_it_dies_with_the_driver(linux, cache, processes):
    slow = linux.commit("Slow", {"scripts/slowly.sh": "sleep 100\n"})
    driver = processes.Process(target=drive, args=(linux.path, cache, slow))
    driver.start()
    try:
        wait_until(lambda: compiling(cache))
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.join()
    wait_until(lambda: not compiling(cache), 5)


class TestHolder:
    def test_is_read_from_the_file(self, tmp_path):
        with (tmp_path / "lock").open("w+b") as file:
            holders.sign(file.fileno(), owner="a session with a longer name", background=False)
            holders.sign(file.fileno(), owner="session", background=True)
        holder = holders.of(tmp_path / "lock")
        assert (holder.pid, holder.owner, holder.background) == (os.getpid(), "session", True)
        assert holder.alive

    @pytest.mark.parametrize("text", ["", "{", "[1]", '{"pid": 1}', '{"pid": 1, "started": "", "more": 1}'])
    def test_may_be_unknown(self, tmp_path, text):
        (tmp_path / "lock").write_text(text)
        assert holders.of(tmp_path / "lock") is None
        assert holders.of(tmp_path / "missing") is None

    def test_another_process_of_the_same_number_is_left_alone(self):
        holder = holders.Holder(os.getpid(), "1", background=True)
        assert not holder.alive
        holder.give_way()  # would interrupt this very test

    @pytest.mark.parametrize("deaf", [False, True])
    def test_in_the_background_ends_in_order_or_is_killed(self, tmp_path, deaf):
        """A process of the lowest priority may not get to its end in time on a busy host."""
        ignore = "signal.signal(signal.SIGINT, signal.SIG_IGN)" if deaf else ""
        script = f"import signal, time\n{ignore}\nprint('ready', flush=True)\ntime.sleep(600)"
        with subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as child:
            assert child.stdout.readline()
            holder = holders.Holder(child.pid, holders._started(child.pid), background=True)
            began = time.monotonic()
            holder.give_way(grace=1.0 if deaf else 100.0)
            assert not deaf or time.monotonic() - began >= 1
            assert child.wait(60) == (-signal.SIGKILL if deaf else -signal.SIGINT)
            assert not holder.alive
