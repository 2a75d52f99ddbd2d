"""Every error message of the package, as its source has it; "…" stands for what is put in."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent / "pytest_kbisect"

_ERRORS = {
    "UsageError",
    "HostError",
    "BuildError",
    "ConfigError",
    "GuestError",
    "BootError",
    "InfraError",
    "KbisectError",
    "CommandTimeoutError",
}
_KINDS = {"qemu", "ssh", "disk", "resume", "reproducer"}
"""First arguments of GuestError: words for programs."""


def _text(node: ast.expr) -> str:
    """A literal's text, first line; empty for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        text = node.value
    elif isinstance(node, ast.JoinedStr):
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    else:
        return ""
    return text.partition("\n")[0].replace("……", "…")


def messages() -> dict[str, str]:
    """Message -> file; texts that are nothing but what is put in are another error's."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            texts = [text for argument in node.args if (text := _text(argument)) and text not in _KINDS]
            if name in _ERRORS and texts and texts[0].strip("… "):
                found[texts[0]] = str(path.relative_to(ROOT))
    return found
