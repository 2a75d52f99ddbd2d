"""What a reproducer needs, said in the file itself: comment lines in C and shell, a marker in Python.

In `name.c` and `name.sh`, anywhere in the first 100 lines:

    kbisect-config: CONFIG_TUN=y           a line of kernel configuration (repeatable)
    kbisect-config[kasan]: CONFIG_KASAN=y  a line of a named configuration: the runs are repeated under
                                           each name, with the lines without a name and its own
    kbisect-timeout: 20                    seconds a run may take
    kbisect-crash: WARNING in foo          the expected title (repeatable), or the subject of syzbot's
                                           mail; others do not count
    kbisect-cmdline: slub_debug=P          arguments for the kernel's command line (repeatable)
    kbisect-qemu: -device nvme,...         arguments for QEMU, quoted as in a shell (repeatable)
    kbisect-memory: 1024                   MiB
    kbisect-cpus: 4
    kbisect-runs: 20                       runs, where --kbisect-runs is not given
    kbisect-bits: 32                       compile a C file for the 32-bit predecessor (i386)
    kbisect-bad-when: exit-status          what makes a run bad (repeatable): see symptoms
    kbisect-selftest: timers/posix_timers  a kselftest to run, in a shell file

In Python the same words: @pytest.mark.kbisect(config=[...], configs={"kasan": [...]}, timeout=20,
crash="WARNING in foo", cmdline="slub_debug=P", qemu="-device edu", memory=1024, cpus=4, runs=20,
bad_when=["console link is down"]).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_kbisect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pytest

_LINE = re.compile(r"\bkbisect-([a-z-]+)(?:\[([^\]]*)\])?:[ \t]*(.*?)[ \t]*(?:\*/)?$")
_HEADER_LINES = 100
_AROUND_TITLE = re.compile(r"^(?:(?:[Rr][Ee]: ?)?\[(?:syzbot|[\w-]{1,40}\?)\] ?)+|\s\(\d{1,3}\)$")
_NAME = re.compile(r"[A-Za-z0-9_.]+")
_OF_KINDS = frozenset({"syzkaller-commit"})
"""Lines that a kind of reproducer reads itself."""
_ARGUMENTS = ("cmdline", "qemu")
_NUMBERS: dict[str, Callable[[Any], float]] = {"timeout": float, "memory": int, "cpus": int, "runs": int}


@dataclass(frozen=True, slots=True)
class Needs:
    """What one reproducer asks for; None where it leaves the choice to the options.

    `config` are lines of configuration; `configs` further ones by the name of a configuration: with any, the
    reproducer runs under each of them. `timeout` is in seconds, `memory` in MiB. `bad_when` are symptoms.
    `bits` are those of the program's words: 32 or 64.
    """

    config: tuple[str, ...] = ()
    configs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    crash: tuple[str, ...] = ()
    cmdline: tuple[str, ...] = ()
    qemu: tuple[str, ...] = ()
    timeout: float | None = None
    memory: int | None = None
    cpus: int | None = None
    runs: int | None = None
    bad_when: tuple[str, ...] = ()
    selftest: str = ""
    bits: int | None = None


def from_source(text: str, name: str) -> Needs:
    """Read the comment lines of a C or shell file. Raises UsageError naming file and line."""
    needs = Needs()
    for number, line in enumerate(text.splitlines()[:_HEADER_LINES], 1):
        found = _LINE.search(line)
        if found:
            key, variant, value = found.groups()
            if key in _OF_KINDS and variant is None:
                continue
            needs = _with(needs, key, variant, value, f"{name}:{number}")
    return needs


def _with(needs: Needs, key: str, variant: str | None, value: str, where: str) -> Needs:
    if not value:
        raise UsageError(f"{where}: kbisect-{key} has no value: write one after the colon")
    if variant is not None and key != "config":
        raise UsageError(
            f"{where}: only kbisect-config takes a name in brackets: remove it from kbisect-{key}"
        )
    if key == "config" and variant is not None:
        lines = (*needs.configs.get(variant, ()), value)
        return replace(needs, configs={**needs.configs, _checked_name(variant, where): lines})
    if key == "config":
        return replace(needs, config=(*needs.config, value))
    if key == "crash":
        return replace(needs, crash=(*needs.crash, plain_title(value)))
    if key == "selftest":
        if not where.rpartition(":")[0].endswith(".sh"):
            raise UsageError(f"{where}: kbisect-selftest is for shell files only: write one (NAME.sh)")
        return replace(needs, selftest=value)
    if key == "bits":
        if value not in {"32", "64"}:
            raise UsageError(f"{where}: kbisect-bits is 32 or 64, not {value}")
        if not where.rpartition(":")[0].endswith(".c"):
            raise UsageError(f"{where}: kbisect-bits is for C files only, which are compiled: remove it")
        return replace(needs, bits=int(value))
    if key == "bad-when":
        return replace(needs, bad_when=(*needs.bad_when, value))
    if key in _ARGUMENTS:
        return _with_arguments(needs, key, (value,))
    if key in _NUMBERS:
        return _with_number(needs, key, value, where)
    known = ", ".join(("config", "crash", "bad-when", "bits", "selftest", *_ARGUMENTS, *_NUMBERS))
    raise UsageError(f"{where}: unknown line kbisect-{key} (known: {known})")


def from_markers(markers: Iterable[pytest.Mark], name: str) -> Needs:
    """Read `@pytest.mark.kbisect(...)`; the nearest marker wins, configurations add up."""
    needs = Needs()
    for mark in reversed(list(markers)):
        where = f"{name}: @pytest.mark.kbisect"
        if mark.args:
            raise UsageError(
                f"{where} takes keywords only, not {mark.args[0]!r}: write timeout=20, for example"
            )
        for key, value in mark.kwargs.items():
            needs = _marked(needs, key, value, where)
    return needs


def _marked(needs: Needs, key: str, value: Any, where: str) -> Needs:
    if key == "config":
        return replace(needs, config=(*needs.config, *_lines(key, value, where)))
    if key == "configs":
        if not isinstance(value, dict):
            raise UsageError(f"{where}: configs must be a dict from names to lines of configuration")
        added = {_checked_name(variant, where): _lines(key, lines, where) for variant, lines in value.items()}
        return replace(needs, configs={**needs.configs, **added})
    if key == "crash":
        return replace(needs, crash=tuple(map(plain_title, _lines(key, value, where))))
    if key == "bad_when":
        return replace(needs, bad_when=_lines(key, value, where))
    # Of a C or shell file, whose lines become a marker.
    if key == "selftest" and isinstance(value, str):
        return replace(needs, selftest=value)
    if key == "bits" and isinstance(value, int):
        return replace(needs, bits=value)
    if key in _ARGUMENTS:
        return _with_arguments(needs, key, _lines(key, value, where))
    if key in _NUMBERS:
        return _with_number(needs, key, value, where)
    known = ", ".join(("config", "configs", "crash", "bad_when", *_ARGUMENTS, *_NUMBERS))
    raise UsageError(f"{where}: unknown keyword {key!r} (known: {known})")


def _with_arguments(needs: Needs, key: str, texts: tuple[str, ...]) -> Needs:
    """Arguments add up: those of a file's lines, and of a class's marker and a function's."""
    changed: dict[str, Any] = {key: (*getattr(needs, key), *texts)}
    return replace(needs, **changed)


def plain_title(title: str) -> str:
    """A title without what syzbot's mails and pages put around it: "[syzbot] [fs?] WARNING in foo (2)"."""
    return _AROUND_TITLE.sub("", title.strip())


def _lines(key: str, value: Any, where: str) -> tuple[str, ...]:
    lines = value.splitlines() if isinstance(value, str) else value
    if not isinstance(lines, list | tuple | set | frozenset) or not all(
        isinstance(line, str) for line in lines
    ):
        raise UsageError(f"{where}: {key} must be text or a list of text, not {value!r}")
    return tuple(lines)


def _checked_name(name: Any, where: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(f"{where}: {name!r} cannot name a configuration: use letters, digits, '_' and '.'")
    return name


def _with_number(needs: Needs, key: str, value: Any, where: str) -> Needs:
    try:
        number = _NUMBERS[key](value)
    except (TypeError, ValueError, OverflowError):
        number = 0
    if not 0 < number < float("inf"):
        raise UsageError(f"{where}: {key} must be a number above 0, not {value!r}")
    changed: dict[str, Any] = {key: number}
    return replace(needs, **changed)
