"""syz-prog2c: a syz program as C, and what was lost on the way.

syz-prog2c leaves out calls that its revision does not know, and says nothing. With -trace its C code prints
a line for each call, so the calls can be counted.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kbisect import atomic, process
from pytest_kbisect.errors import UsageError
from pytest_kbisect.syzkaller import syz_binaries
from pytest_kbisect.syzkaller.syz_features import enabled
from pytest_kbisect.syzkaller.syz_header import SyzOptions
from pytest_kbisect.syzkaller.syz_program import collided, with_fault, without_fault

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_kbisect.syzkaller.syz_command import Usage
    from pytest_kbisect.syzkaller.syz_program import Call

_PROGRAM: Final = syz_binaries.PROG2C
_TRACED: Final = '"### call='
"""In C code that was made with -trace, once for each call."""
_UNKNOWN: Final = re.compile(r"unknown syscall ([\w$]+)")
_SECONDS: Final = 120.0
_NO_HEADER: Final = SyzOptions(threaded=True, repeat=True, sandbox="none", tmpdir=True, segv=True)


@dataclass(frozen=True, slots=True)
class Converted:
    """A program in C. `dropped` calls of the program are not in it; None if that is not known."""

    text: str
    dropped: int | None
    notes: tuple[str, ...] = ()


def find(folder: Path) -> Path | None:
    """syz-prog2c of a built syzkaller: it runs on the host, so it is in bin/."""
    places = (folder / "bin" / _PROGRAM, folder / _PROGRAM, *sorted(folder.glob(f"bin/*/{_PROGRAM}")))
    return next((place for place in places if place.is_file()), None)


def convert(
    program: Path, name: str, text: str, calls: tuple[Call, ...], options: SyzOptions | None, arch: str
) -> Converted:
    """Convert a program. Raises UsageError where syz-prog2c cannot, or an option cannot be had."""
    known, usage = options or _NO_HEADER, syz_binaries.usage(program)
    notes = []
    words = [f"-arch={arch}", *_words(known, usage)]
    if known.injects_fault and "fault_call" not in usage.flags:
        text = with_fault(text, calls, call=known.fault_call, nth=known.fault_nth, name=name)
    elif "fault_call" in usage.flags:
        call, nth = known.fault_call if known.injects_fault else -1, known.fault_nth
        if not known.injects_fault:
            text, call, nth = without_fault(text, calls, name)
        words += [f"-fault_call={call}", f"-fault_nth={nth}"]
    if known.collide and "collide" not in usage.flags:
        text = collided(text, name)
        notes.append("this syz-prog2c has no -collide: every other call is asynchronous instead")
    return Converted(
        _run(program, words, text, name), _dropped(program, words, text, calls, usage), tuple(notes)
    )


def losses(source: Path, calls: tuple[Call, ...], folder: Path, cache: Path) -> str:
    """What of a program this syzkaller does not know, in words; "" also where it has no syz-prog2c to ask.

    The answer is kept in the cache.
    """
    program = find(folder)
    if program is None:
        return ""
    facts, text = program.stat(), source.read_text("utf-8", "replace")
    key = hashlib.sha256(f"{program} {facts.st_size} {facts.st_mtime_ns}\0{text}".encode()).hexdigest()[:16]
    kept = cache / key / "losses"
    if not kept.exists():
        try:
            count = _dropped(program, ["-trace"], text, calls, syz_binaries.usage(program))
            words = f"{count} of {len(calls)} calls" if count else ""
        except UsageError as error:  # strict revisions do not convert what they do not know
            found = _UNKNOWN.search(str(error))
            words = f"the call {found[1]}" if found else ""
        kept.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(kept, words)
    return kept.read_text()


def _dropped(program: Path, words: list[str], text: str, calls: tuple[Call, ...], usage: Usage) -> int | None:
    if "trace" not in usage.flags:
        return None
    traced = _run(program, [*words, "-trace"], text, "the program")
    found = traced.count(_TRACED)
    return max(0, len(calls) - found) if found else None


def _words(options: SyzOptions, usage: Usage) -> list[str]:
    """Flags for the options, of those that this syz-prog2c has."""
    repeat = (options.repeat_times or 0) if options.repeat else 1
    given = {
        "threaded": options.threaded,
        "collide": options.collide,
        "repeat": repeat,
        "procs": options.procs,
        "slowdown": options.slowdown,
        "sandbox": options.sandbox,
        "sandbox_arg": options.sandbox_arg,
        "segv": options.segv,
        "tmpdir": options.tmpdir,
        "leak": options.leak,
        "enable": enabled(options, usage.features) or "none",
    }
    return [
        f"-{flag}={str(value).lower() if isinstance(value, bool) else value}"
        for flag, value in given.items()
        if flag in usage.flags
    ]


def _run(program: Path, words: list[str], text: str, name: str) -> str:
    """What syz-prog2c prints for a program. It reads a file, and may read it twice."""
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".syz", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        command = [str(program), *words, f"-prog={file.name}"]
        try:
            child = process.start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            try:
                output, errors = child.communicate(timeout=_SECONDS)
            finally:
                if child.returncode is None:
                    process.kill(child)
        except subprocess.TimeoutExpired:
            raise UsageError(f"{program} did not end in {_SECONDS:g} s: try it by hand") from None
    if child.returncode:
        lines = (errors or output).decode("utf-8", "replace").strip().splitlines() or ["it says nothing"]
        reason = next((line for line in lines if line.startswith("panic:")), lines[-1])
        raise UsageError(
            f"{program.name} cannot convert {name} ({reason.replace(file.name, name)}): try another revision"
        )
    return output.decode("utf-8", "replace")
