"""`python3 -m pytest_kbisect VERB` from a checkout: makes a virtual environment, then runs `kbisect VERB`.

Standard library only: this is the first thing to run on a machine that has Python and git and no more.
`test` is the verb of the checkout itself: it installs what the tests need and runs them all.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_USAGE = 4
_CHECKOUT = Path(__file__).resolve().parent.parent
_VENV = _CHECKOUT / ".venv"
_KBISECT = ("-m", "pytest_kbisect.commands")
_SETUP = (*_KBISECT, "setup", "--yes")

_TESTS = {
    "quick tests": ("-q", "-n", "2", "-m", "not guest and not kernel"),
    "tests on real kernels (the first one takes minutes to build; it is kept)": (
        "-v",
        "-m",
        "guest or kernel",
        "--durations=20",
    ),
}


def main(arguments: list[str]) -> int:
    """Prepare `.venv`, then hand over."""
    if sys.version_info < (3, 11):
        print(f"kbisect: Python 3.11 or newer is needed, this is {sys.version.split()[0]}", file=sys.stderr)
        return _USAGE
    if not (_CHECKOUT / "pyproject.toml").exists():  # installed: nothing to prepare
        from pytest_kbisect.commands import main as kbisect

        return kbisect(arguments)
    testing = arguments[:1] == ["test"]
    try:
        python = _environment("dev" if testing else "")
        if testing:
            return _test(python, arguments[1:])
        if arguments[:1] == ["demo"] and (status := _run(python, *_SETUP)):
            return status
        return _run(python, *_KBISECT, *arguments)
    except subprocess.CalledProcessError as error:
        print(
            f"kbisect: {' '.join(map(str, error.cmd))} failed (exit status {error.returncode})",
            file=sys.stderr,
        )
        return _USAGE
    except KeyboardInterrupt:
        return 2


def _environment(extra: str) -> Path:
    """The Python of `.venv`, with this checkout and its dependencies installed."""
    python = _VENV / "bin" / "python"
    stamp = _VENV / f"installed-{extra or 'plain'}"
    project = _CHECKOUT / "pyproject.toml"
    if stamp.exists() and stamp.stat().st_mtime >= project.stat().st_mtime:
        return python
    print(f"kbisect: making a virtual environment in {_VENV}", flush=True)
    if not _can_make_environments():
        _apt_get("install", "-y", "python3-venv")
    subprocess.run([sys.executable, "-m", "venv", _VENV], check=True)
    print("kbisect: installing the packages it needs (from PyPI)", flush=True)
    target = f"{_CHECKOUT}[{extra}]" if extra else str(_CHECKOUT)
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-e", target], check=True
    )
    stamp.touch()
    return python


def _can_make_environments() -> bool:
    # Debian ships venv without ensurepip, its own half, in a package of its own.
    probe = [sys.executable, "-c", "import ensurepip, venv"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def _apt_get(*words: str) -> None:
    if shutil.which("apt-get") is None:
        print("kbisect: Python's venv module is missing and there is no apt-get: install it", file=sys.stderr)
        raise SystemExit(_USAGE)
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    print(f"kbisect: {' '.join([*sudo, 'apt-get', *words])}", flush=True)
    subprocess.run([*sudo, "apt-get", "update", "-qq"], check=False)
    subprocess.run([*sudo, "apt-get", *words], check=True)


def _run(python: Path, *words: str) -> int:
    return subprocess.run([python, *words], check=False).returncode


def _test(python: Path, arguments: list[str]) -> int:
    """Lint, types, and every test; with arguments, pytest with these alone."""
    os.chdir(_CHECKOUT)
    steps = [
        ("installing what guests and builds need", _SETUP),
        ("ruff", ("-m", "ruff", "check", ".")),
        ("ruff format", ("-m", "ruff", "format", "--check", ".")),
        ("mypy", ("-m", "mypy")),
    ]
    failed = []
    for name, words in steps:
        print(f"kbisect: {name}", flush=True)
        if _run(python, *words):
            failed.append(name)
    for name, words in ({"pytest": tuple(arguments)} if arguments else _TESTS).items():
        print(f"kbisect: {name}", flush=True)
        if _run(python, "-m", "pytest", *words):
            failed.append(name)
    if failed:
        print(f"kbisect: failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
