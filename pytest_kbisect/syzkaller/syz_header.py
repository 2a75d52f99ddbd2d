"""The header of a syz program: the options with which syzkaller ran it.

syzkaller writes them as JSON since May 2018, and before as Go prints a struct (pkg/csource/options.go):

    #{"threaded":true,"repeat":true,"procs":5,"slowdown":1,"sandbox":"none","tun":true,"close_fds":true}
    #{Threaded:true Collide:true Repeat:true Procs:8 Sandbox:none Fault:false FaultCall:-1 FaultNth:0 ...}
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from pytest_kbisect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SANDBOXES: Final = ("", "none", "setuid", "namespace", "android")
_IGNORED: Final = frozenset({"waitrepeat", "debug", "repro", "trace", "callcomments"})
"""Options of syzkaller's own C code generator. They change nothing in how a program is executed."""
_OLD_NAMES: Final = {
    "Threaded": "threaded",
    "Collide": "collide",
    "Repeat": "repeat",
    "Procs": "procs",
    "Sandbox": "sandbox",
    "SandboxArg": "sandbox_arg",
    "Fault": "fault",
    "FaultCall": "fault_call",
    "FaultNth": "fault_nth",
    "EnableTun": "tun",
    "EnableCgroups": "cgroups",
    "UseTmpDir": "tmpdir",
    "HandleSegv": "segv",
    "WaitRepeat": "waitrepeat",
    "Debug": "debug",
    "Repro": "repro",
}
"""The fields of the text form, which Go code spells otherwise than JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyzOptions:
    """The options of a syz program, as pkg/csource/options.go names them in JSON.

    `collide`, `fault`, `fault_call` and `fault_nth` were removed from syzkaller in 2021: since then the
    program itself says `(async)` and `(fail_nth: N)`. `fault_call` counts calls from 0. Defaults are those
    of syzkaller for a key that is not there.
    """

    threaded: bool = False
    collide: bool = False
    repeat: bool = False
    repeat_times: int = 0
    procs: int = 1
    slowdown: int = 1
    sandbox: str = ""
    sandbox_arg: int = 0
    fault: bool = False
    fault_call: int = 0
    fault_nth: int = 0
    leak: bool = False
    tun: bool = False
    netdev: bool = False
    resetnet: bool = False
    cgroups: bool = False
    binfmt_misc: bool = False
    close_fds: bool = True
    kcsan: bool = False
    devlinkpci: bool = False
    nicvf: bool = False
    usb: bool = False
    vhci: bool = False
    wifi: bool = False
    ieee802154: bool = False
    sysctl: bool = False
    swap: bool = False
    tmpdir: bool = False
    segv: bool = False

    @property
    def injects_fault(self) -> bool:
        """Whether a fault is injected by the options. (-1 is no call.)"""
        return self.fault and self.fault_call >= 0


_FIELDS: Final = {field.name: field for field in fields(SyzOptions)}
_TYPES: Final[dict[str, type]] = {"bool": bool, "int": int, "str": str}


def options_of(text: str, name: str) -> SyzOptions | None:
    """The options in a program's header; None where it has none.

    Raises UsageError, with file and line, for options that cannot be read or that are not known here.
    """
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            return None  # the program has begun
        words = stripped.removeprefix("#").strip()
        if words.startswith("{"):
            return parse_options(words, f"{name}:{number}")
    return None


def without(text: str, names: Iterable[str]) -> str:
    """The program with these options turned off in its header."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        words = line.strip().removeprefix("#").strip()
        if not (line.strip().startswith("#") and words.startswith("{")):
            continue
        off = set(names)
        if words[1:].lstrip()[:1] in {'"', "}"}:
            found = json.loads(words)
            changed = {name: False if name in off else value for name, value in found.items()}
            lines[number] = f"#{json.dumps(changed, separators=(',', ':'))}"
        else:
            old = [key for key, name in _OLD_NAMES.items() if name in off]
            lines[number] = re.sub(rf"\b({'|'.join(old)}):true\b", r"\1:false", line) if old else line
        break
    return "\n".join(lines) + "\n"


def parse_options(text: str, where: str) -> SyzOptions:
    """Options in one of their two forms. Raises UsageError."""
    inside = text[1:].lstrip()
    found = _json(text, where) if inside[:1] in {'"', "}", ""} else _struct(text, where)
    known: dict[str, Any] = {}
    for key, value in found.items():
        if key in _FIELDS:
            known[key] = _checked(key, value, where)
        elif key not in _IGNORED and value not in (False, 0, "", None):
            raise UsageError(
                f"{where}: syzkaller's option {key!r} is not known: remove it if the bug shows without it"
            )
    options = SyzOptions(**known)
    if options.sandbox not in SANDBOXES:
        raise UsageError(f"{where}: the sandbox must be one of {', '.join(filter(None, SANDBOXES))}")
    if options.procs < 1:
        raise UsageError(f"{where}: procs must be 1 or more, not {options.procs}")
    return options


def _json(text: str, where: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{where}: broken options ({error}): get the file again") from None
    return dict(found)


def _struct(text: str, where: str) -> Mapping[str, Any]:
    """Go's `%+v` of a struct: a sandbox without a name leaves nothing behind its colon."""
    found: dict[str, Any] = {}
    for word in text.removeprefix("{").removesuffix("}").split():
        key, colon, value = word.partition(":")
        if not colon or key not in _OLD_NAMES:
            raise UsageError(f"{where}: broken options (at {word!r}): get the file again")
        name = _OLD_NAMES[key]
        found[name] = {"true": True, "false": False}.get(value, value)
        if name in _FIELDS and _FIELDS[name].type == "int":
            try:
                found[name] = int(value)
            except ValueError:
                raise UsageError(f"{where}: {key} must be a number, not {value!r}") from None
    return found


def _checked(key: str, value: Any, where: str) -> Any:
    wanted = _TYPES[str(_FIELDS[key].type)]
    if value is None:  # Go leaves the default
        return _FIELDS[key].default
    if type(value) is not wanted:
        words = {bool: "true or false", int: "a number", str: "text"}[wanted]
        raise UsageError(f"{where}: {key} must be {words}, not {value!r}")
    return value
