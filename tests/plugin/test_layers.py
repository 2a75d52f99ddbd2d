"""How modules may import each other (pyproject.toml has the contracts), and what they are called."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pytest_kbisect"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    command = [sys.executable, "-c", code, "--no-cache", "--config", str(folder / "pyproject.toml")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_imports_go_down_and_not_in_circles() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "imported", "contract"),
    [
        ("crash/pattern.py", "guest.qemu", "crash reports are made of text alone"),
        ("arch/x86_64.py", "kernel.build", "imports go down"),
        ("strategies/classic.py", "kernel.tree", "strategies decide from evidence alone"),
        ("guest/ssh.py", "guest.vm", "no import cycle"),
    ],
)
def test_what_goes_up_or_in_a_circle_is_found(
    tmp_path: Path, module: str, imported: str, contract: str
) -> None:
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    for path in PACKAGE.rglob("*.py"):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text())
    broken = tmp_path / "pytest_kbisect" / module
    broken.write_text(broken.read_text() + f"\n\ndef _up() -> None:\n    import pytest_kbisect.{imported}\n")
    done = lint(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{contract} BROKEN" in done.stdout


def test_no_two_modules_have_the_same_name() -> None:
    """Packages have names of their own; a verb of `kbisect` has that of the package that it is about."""
    names = Counter(path.stem for path in PACKAGE.rglob("*.py") if not path.stem.startswith("__"))
    assert not {name for name, count in names.items() if count > 1}
