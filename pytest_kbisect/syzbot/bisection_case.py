"""A folder with everything for the bisection of a bug, and the command line for pytest."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kbisect import atomic, layout
from pytest_kbisect.errors import UsageError
from pytest_kbisect.needs import plain_title
from pytest_kbisect.syzkaller import syz_features, syz_header

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pytest_kbisect.syzbot.bug_model import Bug, BugCrash
    from pytest_kbisect.syzbot.kernel_facts import KernelFacts
    from pytest_kbisect.syzbot.saved_bug import BugFiles

_SECONDS: Final = 60
"""Time limit of a run. syzbot gives a C reproducer 150 s and a syz program 360 s. Each good run of a
reproducer that repeats itself takes all of it."""
_BUG: Final = "https://syzkaller.appspot.com/bug?"


@dataclass(frozen=True, slots=True)
class BisectionCase:
    """What was written: `reproducer` and `config` are the paths; `notes` what was changed on the way."""

    reproducer: Path
    config: Path | None
    notes: tuple[str, ...]

    @property
    def is_syz(self) -> bool:
        return self.reproducer.suffix == ".syz"


def titles(bug: Bug, crash: BugCrash, facts: KernelFacts) -> tuple[str, ...]:
    """The titles that count as the bug: of the report as it is read here, of the crash and of the bug."""
    words = (*facts.titles, crash.title, bug.title)
    return tuple(dict.fromkeys(plain_title(" ".join(title.split())) for title in words if title.strip()))


def write(
    folder: Path, bug: Bug, crash: BugCrash, files: BugFiles, facts: KernelFacts, *, prefer_syz: bool = False
) -> BisectionCase:
    """Write the reproducer with comment lines, the configuration and the report. Raises UsageError."""
    use_syz = files.syz is not None and (prefer_syz or files.c is None)
    text = files.syz if use_syz else files.c
    if text is None:
        raise UsageError(f"{bug.source} has no reproducer: give a crash that has one (--crash)")
    name = f"{slug(bug.title)}{'.syz' if use_syz else '.c'}"
    notes: list[str] = []
    if use_syz and files.config:
        text, notes = _without_absent(text, name, files.config)
    reproducer = folder / layout.REPRODUCERS / name
    reproducer.parent.mkdir(parents=True, exist_ok=True)
    lines = list(_comment_lines(bug, crash, facts, syz=use_syz))
    atomic.write(reproducer, _headed(text, lines, syz=use_syz))
    config = None
    if files.config:
        config = folder / layout.CONFIG
        atomic.write(config, files.config)
    if files.report:
        atomic.write(folder / "report.txt", files.report)
    return BisectionCase(reproducer, config, tuple(notes))


def command(
    case: BisectionCase, range_: str, *, kernel: str, architecture: str, syzkaller: str, default: str
) -> str:
    """The command line, for a shell. `default` is the architecture that need not be named."""
    words = ["pytest", f"--kbisect-kernel={kernel}", f"--kbisect-range={range_}"]
    if case.config is not None:
        words.append(f"--kbisect-config={case.config}")
    if architecture != default:
        words.append(f"--kbisect-arch={architecture}")
    if case.is_syz:
        words.append(f"--kbisect-syzkaller={syzkaller}")
    words.append(str(case.reproducer))
    return shlex.join(words)


def _comment_lines(bug: Bug, crash: BugCrash, facts: KernelFacts, *, syz: bool) -> Iterator[str]:
    if bug.id:
        yield f"{_BUG}{'extid' if len(bug.id) == 20 else 'id'}={bug.id}"
    for title in titles(bug, crash, facts):
        yield f"kbisect-crash: {title}"
    yield f"kbisect-memory: {facts.memory}"
    yield f"kbisect-timeout: {_SECONDS}"
    if facts.compat and not syz:
        yield "kbisect-bits: 32"
    if syz and re.fullmatch(r"[0-9a-f]{12,40}", crash.syzkaller):
        yield f"kbisect-syzkaller-commit: {crash.syzkaller}"


def _headed(text: str, lines: Iterable[str], *, syz: bool) -> str:
    """The reproducer behind comment lines; those that it has from an earlier time are replaced."""
    kept = [line for line in text.splitlines() if not re.match(r"^(?://|#|/\*| \*)? ?kbisect-[a-z-]+:", line)]
    mark = "# " if syz else "// "
    return "\n".join([*(f"{mark}{line}" for line in lines), *kept]) + "\n"


def _without_absent(text: str, name: str, config: str) -> tuple[str, list[str]]:
    """The program without options that its own kernel could not have: syzkaller left them out, too."""
    options = syz_header.options_of(text, name)
    if options is None:
        return text, []
    absent = syz_features.absent_options(options, config)
    if not absent:
        return text, []
    words = ", ".join(absent)
    return syz_header.without(text, absent), [
        f"turned off in {name}: {words}; the kernel that crashed did not have what they need"
    ]


def slug(title: str) -> str:
    """A file name of a title: it becomes the name of a test."""
    return re.sub(r"[^a-z0-9]+", "_", plain_title(title).lower()).strip("_")[:60] or "bug"
