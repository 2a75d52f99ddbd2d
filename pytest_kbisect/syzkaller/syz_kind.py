"""syz programs as a kind of reproducer: `*.syz`, run in the guest by the user's own syzkaller."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_kbisect import atomic, options
from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.errors import UsageError
from pytest_kbisect.reproducer_kinds import GuestProgram
from pytest_kbisect.syzkaller import syz_binaries, syz_build, syz_command, syz_features, syz_result
from pytest_kbisect.syzkaller.prog2c import losses
from pytest_kbisect.syzkaller.syz_header import options_of
from pytest_kbisect.syzkaller.syz_program import calls_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

    from pytest_kbisect.arch import Architecture
    from pytest_kbisect.guest.ssh import CommandResult
    from pytest_kbisect.syzkaller.syz_binaries import Syzkaller
    from pytest_kbisect.syzkaller.syz_header import SyzOptions
    from pytest_kbisect.syzkaller.syz_program import Call

COMMIT_LINE: Final = re.compile(r"^#.*\bkbisect-syzkaller-commit:[ \t]*(\S*)", re.MULTILINE)
_COMMIT: Final = re.compile(r"[0-9a-f]{12,40}")


@dataclass(frozen=True, slots=True)
class SyzPrograms:
    """The kind. `folder` and `command` are the values of --kbisect-syzkaller and --kbisect-syzkaller-command.

    `library`: guests have a C library (a disk image).
    """

    folder: Path | None = None
    command: str = ""
    cache: Path = Path()
    architecture: Architecture = DEFAULT
    library: bool = False

    name = "syz program"
    suffixes = (".syz",)
    requires: tuple[str, ...] = ()

    def prepare(self, source: Path, cache: Path) -> GuestProgram:
        """The two programs, the program in syzkaller's language, and how they are called."""
        text = source.read_text("utf-8", "replace")
        calls, known = calls_of(text, source.name), options_of(text, source.name)
        found = self._syzkaller(source, text)
        if found.needs_library and not self.library:
            raise UsageError(
                f"{found.executor} or {found.execprog.name} needs a C library, which guests do not have: "
                "build it with -static, or give a disk image with --kbisect-image"
            )
        told = syz_binaries.usage(found.execprog)
        words = syz_command.command(source.name, text, calls, known, told, found.arch)
        programs = {name: _written(cache, name, body) for name, body in words.programs.items()}
        return GuestProgram(
            {syz_command.EXECPROG: found.execprog, syz_command.EXECUTOR: found.executor, **programs},
            words.words,
            log=tuple(self._log(source, calls, found, cache)),
            untestable=partial(_untestable, source.name, known, calls),
        )

    def related_files(self, source: Path) -> Iterable[Path]:  # noqa: ARG002 - the protocol's
        return ()

    def tools(self, source: Path) -> Iterable[Path]:
        """The two programs: other ones make another bisection."""
        found = self._syzkaller(source, source.read_text("utf-8", "replace"))
        return found.execprog, found.executor

    def _syzkaller(self, source: Path, text: str) -> Syzkaller:
        if self.folder is None:
            raise UsageError(
                f"{source.name} is a syz program: give --kbisect-syzkaller DIR, "
                "a built syzkaller with syz-execprog and syz-executor"
            )
        if not self.command:
            return syz_binaries.find(self.folder, self.architecture)
        found = COMMIT_LINE.search(text)
        if found is None:
            raise UsageError(
                f"{source.name} does not say at which commit of syzkaller it was found: "
                "add a line `# kbisect-syzkaller-commit: HASH`, or remove --kbisect-syzkaller-command"
            )
        if not _COMMIT.fullmatch(found[1]):
            raise UsageError(f"{source.name}: {found[1]!r} is no commit: give 12 to 40 hexadecimal digits")
        return syz_build.built(self.folder, found[1], self.command, self.cache, self.architecture)

    def _log(self, source: Path, calls: tuple[Call, ...], found: Syzkaller, cache: Path) -> Iterable[str]:
        yield f"building syzkaller on {found.revision or 'an unknown commit'}"
        lost = losses(source, calls, self.folder, cache) if self.folder is not None else ""
        if lost:
            yield (
                f"# {source.name}: this syzkaller does not know {lost} and leaves out what it does not know: "
                "use the revision that found the bug"
            )


def _untestable(
    name: str,
    known: SyzOptions | None,
    calls: tuple[Call, ...],
    result: CommandResult,
    configuration: str,
) -> str:
    """Why a run without a crash says nothing of the kernel."""
    if reason := syz_result.untestable(result):
        return reason
    if lacking := syz_features.lacking(known, calls, configuration):
        return (
            f"{lacking}: add it to the configuration, or turn that off in {name} if the bug does not need it"
        )
    return ""


def _written(cache: Path, name: str, text: str) -> Path:
    """A program as a file, under its own name."""
    path = cache / hashlib.sha256(text.encode()).hexdigest()[:16] / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, text)
    return path


def of(config: pytest.Config | None) -> SyzPrograms:
    """The kind with the options of a session; without one it collects, and cannot prepare."""
    if config is None:
        return SyzPrograms()
    return SyzPrograms(
        options.value(config, "syzkaller"),
        options.value(config, "syzkaller-command") or "",
        options.cache_folder(config),
        options.architecture(config),
        library=options.value(config, "image") is not None,
    )
