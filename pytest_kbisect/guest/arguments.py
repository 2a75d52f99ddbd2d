"""Arguments for the kernel and for QEMU that users give: split, and checked for what runs rely on."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

from pytest_kbisect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_kbisect.guest.qemu import Machine

COMMAND_LINE: Final = 2047
"""Bytes of a kernel's command line (the smallest COMMAND_LINE_SIZE, with a NUL); it drops the rest."""

_OURS: Final = {
    "console": "kbisect reads the guest's own console: leave it out",
    "rdinit": "the guest's user space starts with its own init: leave it out",
    "panic": "a panic has to end the guest: leave it out",
}
"""Kernel arguments by which a run's outcome is no longer seen."""

_INSTEAD: Final = {
    "-kernel": "use --kbisect-kernel",
    "-initrd": "use --kbisect-image for another user space",
    "-append": "use --kbisect-cmdline",
    "-m": "use --kbisect-memory",
    "-accel": "use --kbisect-accel",
    "-enable-kvm": "use --kbisect-accel",
    "-blockdev": "use -drive, of which a guest changes a temporary copy only",
    "-qmp": "leave it out: kbisect has a monitor of its own",
    "-incoming": "leave it out: kbisect restores guests itself",
    "-loadvm": "leave it out: kbisect restores guests itself",
    "-S": "leave it out: use --kbisect-gdb to stop a guest",
    "-daemonize": "leave it out: QEMU has to end with its run",
}
"""QEMU's options that are kbisect's, and what to do."""

_DRIVES: Final = re.compile(r"-(?:drive|hd[a-d]|cdrom|fd[ab]|sd|pflash|mtdblock)")


def kernel_arguments(texts: Iterable[str], where: str) -> str:
    """The kernel arguments in some texts, as one text.

    `where` is what the user has written them in. Raises UsageError for one that cannot be used.
    """
    text = " ".join(one.strip() for one in texts)
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise UsageError(
            f"{where}: {text!r} has a control character: write arguments with spaces between them"
        )
    if text.count('"') % 2:
        raise UsageError(f"{where}: {text!r} has a quote without its end: add it")
    for word in _words(text):
        name = word.partition("=")[0].replace("-", "_")
        if name in _OURS:
            raise UsageError(f"{where}: {word!r} cannot be used: {_OURS[name]}")
    return text


def _words(text: str) -> list[str]:
    """The kernel's own splitting: blanks separate, but inside quotes (lib/cmdline.c, next_arg())."""
    return re.findall(r'(?:[^\s"]|"[^"]*")+', text)


def require_length(machine: Machine) -> None:
    """Raise UsageError for a command line of which the kernel would drop the end."""
    length = len(machine.command_line.encode("utf-8", "surrogateescape"))
    if length > COMMAND_LINE:
        raise UsageError(
            f"the kernel's command line has {length} bytes, {COMMAND_LINE} are possible: remove some of its arguments"
        )


def qemu_arguments(texts: Iterable[str], where: str) -> tuple[str, ...]:
    """QEMU arguments, split as a shell does. Raises UsageError for one that is kbisect's own."""
    words: list[str] = []
    for text in texts:
        try:
            words += shlex.split(text)
        except ValueError as error:
            raise UsageError(f"{where}: {text!r} cannot be split: {error}: add the missing quote") from None
    for word in words:
        option = f"-{word.lstrip('-')}" if word.startswith("-") else word
        if option in _INSTEAD:
            raise UsageError(f"{where}: {word} cannot be used: {_INSTEAD[option]}")
    return tuple(words)


def has_drives(words: Iterable[str]) -> bool:
    """Whether QEMU arguments name a file that a guest sees as a disk."""
    return any(_DRIVES.fullmatch(word.replace("--", "-", 1)) for word in words)
