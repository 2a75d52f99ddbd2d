"""`python3 -m pytest_kbisect VERB` in a clone: creates a virtual environment, then runs `kbisect VERB`.

It uses only the standard library, because it is the first thing to run on a machine that has only Python and
git. The verb `test` is implemented here: it installs the dependencies of the tests and runs all tests.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from pytest_kbisect import apt, quiet

_USAGE = 4
_ROOT = Path(__file__).resolve().parent.parent
_VENV = _ROOT / ".venv"
_KBISECT = ("-m", "pytest_kbisect.commands")
_SETUP = (*_KBISECT, "setup", "--yes")

_TEST_SOURCE = "KBISECT_TEST_SOURCE"
"""A tarball or tree of Linux for the tests, instead of the distribution's kernel source."""

_TESTS = {
    "quick tests": ("-q", "-n", "2", "-m", "not guest and not kernel and not bisection"),
    "whole bisections of a miniature Linux": ("-q", "-n", "2", "-m", "bisection"),
    "tests on real kernels (the first one takes minutes to build; it is kept)": (
        *("-v", "-n", "2", "--dist", "loadfile"),  # a file's tests use the same kernels
        *("-m", "(guest or kernel) and not foreign and not kvm", "--durations=20"),
    ),
}


class _StopError(Exception):
    """Stops the command. The message is one line that states the reason."""


def main(arguments: list[str]) -> int:
    """Prepare `.venv`, then run the command in it."""
    if not (_ROOT / "pyproject.toml").exists():  # installed: nothing to prepare
        from pytest_kbisect.commands import main as kbisect

        return kbisect(arguments)
    try:
        return _start(arguments)
    except _StopError as stop:
        print(f"kbisect: {stop}", file=sys.stderr)
        return _USAGE
    except KeyboardInterrupt:
        return 2


def _start(arguments: list[str]) -> int:
    verb = arguments[0] if arguments else ""
    if verb == "test":
        setup = _setup(os.environ.get(_TEST_SOURCE, ""))
        print("kbisect: install the tests' dependencies, then run ruff, mypy and pytest", flush=True)
        return _test(_environment("dev"), setup, arguments[1:])
    if not arguments or {"-h", "--help", "--version"}.intersection(arguments):
        from pytest_kbisect.commands import main as kbisect  # needs no packages to print this

        return kbisect(arguments)
    demo = verb == "demo"
    if demo:
        setup = _setup(_given(arguments[1:]))
        print(
            "kbisect: install the demo's dependencies, create a history of Linux, bisect it in QEMU",
            flush=True,
        )
    python = _environment("")
    if demo and (status := _run(python, *setup)):
        return status
    return _run(python, *_KBISECT, *arguments)


def _given(arguments: list[str]) -> str:
    """The kernel source that the arguments of the demo name, or ""."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--tarball", "--tree", dest="source", default="")
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return str(parser.parse_known_args(own)[0].source)


def _setup(source: str) -> tuple[str, ...]:
    """The arguments that install the host's dependencies, with a kernel source unless `source` is one."""
    if source and not Path(source).exists():
        raise _StopError(f"{source}: no such file or folder")
    return _SETUP if source else (*_SETUP, "--demo")


def _environment(extra: str) -> Path:
    """The Python of `.venv`, with this checkout and its dependencies installed."""
    python = _VENV / "bin" / "python"
    stamp = _VENV / f"installed-{extra or 'plain'}"
    project = _ROOT / "pyproject.toml"
    if python.exists() and stamp.exists() and stamp.stat().st_mtime >= project.stat().st_mtime:
        return python
    if not (python.exists() and python.with_name("pip").exists()):
        print(f"kbisect: creating a virtual environment in {_VENV}", flush=True)
        if not _can_make_environments():
            _install_venv()
        _quietly("Python's venv", [sys.executable, "-m", "venv", _VENV])
    print(f"kbisect: installing Python packages from PyPI into {_VENV}", flush=True)
    target = f"{_ROOT}[{extra}]" if extra else str(_ROOT)
    pip: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--no-input",
        "--progress-bar=off",
        "--disable-pip-version-check",
    ]
    _quietly("pip", [*pip, "-e", target])
    stamp.touch()
    return python


def _quietly(name: str, command: list[str | Path]) -> None:
    if status := quiet.run(command):
        line = shlex.join(map(str, command))
        raise _StopError(
            f"{name} failed (exit status {status}), its output is above. The command was: {line}"
        )


def _can_make_environments() -> bool:
    # Debian has ensurepip, which venv needs, in a separate package.
    probe = [sys.executable, "-c", "import ensurepip, venv"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def _install_venv() -> None:
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if shutil.which("apt-get") is None:
        raise _StopError(f"{sys.executable} lacks the modules venv and ensurepip: install them")
    if not apt.may_become_root() or not apt.authenticate():
        raise _StopError(
            f"{sys.executable} lacks the modules venv and ensurepip. As root: apt-get install {package}"
        )
    apt.run(["update"])
    if not apt.run(apt.install_words([package])):
        raise _StopError(
            f"cannot install {package}, which {sys.executable} needs: see apt-get's output above"
        )


def _run(python: Path, *words: str) -> int:
    return subprocess.run([python, *words], check=False).returncode


def _test(python: Path, setup: tuple[str, ...], arguments: list[str]) -> int:
    """Run the linters, the type checker and all tests; with arguments, pytest only with these."""
    os.chdir(_ROOT)
    steps = [
        ("installing the dependencies of guests and builds", setup),
        ("ruff", ("-m", "ruff", "check", ".")),
        ("ruff format", ("-m", "ruff", "format", "--check", ".")),
        ("mypy", ("-m", "mypy")),
    ]
    tests = {"pytest": tuple(arguments)} if arguments else _TESTS
    steps += [(name, ("-m", "pytest", *words)) for name, words in tests.items()]
    failed = []
    for name, words in steps:
        print(f"kbisect: {name}", flush=True)
        if _run(python, *words):
            failed.append(name)
    if failed:
        print(f"kbisect: failed: {', '.join(failed)}", file=sys.stderr)
    else:
        print(f"kbisect: all {len(steps)} steps passed")
    return bool(failed)
