"""C sources to static programs: compiled on the host once per content, kept in the cache."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from pytest_kbisect import process
from pytest_kbisect.errors import UsageError

# syzbot's reproducers are written for -w -fpermissive compilers: warnings are not ours to judge.
_FLAGS = ("-std=gnu11", "-O2", "-static", "-pthread", "-w")


def compile_static(source: Path | str, folder: Path, *, name: str = "", flags: tuple[str, ...] = ()) -> Path:
    """The program made of a C source: a path, or the text itself (then give it a `name`).

    Raises UsageError with the compiler's words where it does not compile.
    """
    if isinstance(source, Path):
        try:
            text, origin = source.read_bytes(), str(source)
        except OSError as error:
            raise UsageError(f"{source}: cannot be read: {error.strerror}") from None
        name = name or source.stem
        include = ["-I", str(source.parent.absolute())]
    else:
        text, origin, include = source.encode(), name or "program", []
    command = ["gcc", *_FLAGS, *include, *flags]
    digest = hashlib.sha256("\0".join(command).encode() + b"\0" + text).hexdigest()[:16]
    program = folder / digest / (name or "program")
    if program.exists():
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    descriptor, unfinished = tempfile.mkstemp(dir=program.parent)
    os.close(descriptor)
    try:
        process.run([*command, "-x", "c", "-", "-o", unfinished], stdin=text, env=_environment())
        os.chmod(unfinished, 0o755)
        os.rename(unfinished, program)
    except subprocess.CalledProcessError as error:
        words = process.tail(error.output, 20).replace("<stdin>", Path(origin).name)
        raise UsageError(f"{origin} does not compile:\n{words}") from None
    finally:
        Path(unfinished).unlink(missing_ok=True)
    return program


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C"}  # the compiler's words in one language
