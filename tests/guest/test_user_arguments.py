"""Kernel and QEMU arguments as users write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kbisect import needs
from pytest_kbisect.errors import UsageError
from pytest_kbisect.guest.arguments import has_drives, kernel_arguments, qemu_arguments, require_length
from pytest_kbisect.guest.qemu import Machine


def test_a_reproducers_lines_add_up() -> None:
    text = "/*\n * kbisect-cmdline: slub_debug=P\n * kbisect-cmdline: nosmap */\n// kbisect-qemu: -device 'edu'\n"
    found = needs.from_source(text, "a.c")
    assert (found.cmdline, found.qemu) == (("slub_debug=P", "nosmap"), ("-device 'edu'",))
    assert kernel_arguments(found.cmdline, "here") == "slub_debug=P nosmap"
    assert qemu_arguments(found.qemu, "here") == ("-device", "edu")


def test_so_do_markers() -> None:
    marks = [
        pytest.mark.kbisect(cmdline="b", qemu=["-device edu"]).mark,
        pytest.mark.kbisect(cmdline=["a"]).mark,
    ]
    found = needs.from_markers(marks, "test")
    assert (found.cmdline, found.qemu) == (("a", "b"), ("-device edu",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("console=tty1", "'console=tty1' cannot be used: kbisect reads"),
        ("quiet rdinit=/bin/sh", "'rdinit=/bin/sh' cannot be used"),
        ("panic=0", "'panic=0' cannot be used: a panic has to end the guest"),
        ('dyndbg="file a.c', "has a quote without its end: add it"),
    ],
)
def test_kernel_arguments_that_runs_cannot_do_with(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"^here: .*{message}"):
        kernel_arguments([text], "here")


def test_what_only_looks_like_them() -> None:
    text = 'panic_on_warn=1 netconsole=@/,@10.0.2.2/ dyndbg="file panic=0 +p"'
    assert kernel_arguments([text], "here") == text


@pytest.mark.parametrize("word", ["-append x", "--kernel x", "-m 1G", "-S", "-daemonize", "-blockdev a"])
def test_qemu_arguments_that_are_kbisects(word: str) -> None:
    with pytest.raises(
        UsageError, match=f"^here: {word.partition(' ')[0]} cannot be used: (use|leave it out)"
    ):
        qemu_arguments([word], "here")


def test_the_kernel_must_not_drop_the_end() -> None:
    long = Machine(kernel=Path("k"), initramfs=None, kernel_arguments="x" * 2000)
    with pytest.raises(UsageError, match=r"command line has \d+ bytes, 2047 are possible: remove"):
        require_length(long)
    require_length(Machine(kernel=Path("k"), initramfs=None, kernel_arguments="x" * 1000))


def test_drives() -> None:
    assert has_drives(["-device", "edu", "--drive", "file=a"])
    assert has_drives(["-hda", "a"])
    assert not has_drives(["-device", "virtio-gpu-pci"])
