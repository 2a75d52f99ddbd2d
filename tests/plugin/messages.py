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
    """Message -> file; texts that are nothing but what is put in are another error's.

    A message may be given a name first, in the same function.
    """
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        tree = ast.parse(path.read_text())
        for scope in [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))]:
            named = _named(scope)
            for node in ast.walk(scope):
                if not isinstance(node, ast.Call):
                    continue
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                texts = [text for argument in node.args if (text := _text(argument)) and text not in _KINDS]
                texts = texts[:1] or [
                    text for word in node.args for text in named.get(getattr(word, "id", ""), ())
                ]
                if name in _ERRORS:
                    found |= {text: str(path.relative_to(ROOT)) for text in texts if text.strip("… ")}
    return found


def _named(scope: ast.AST) -> dict[str, list[str]]:
    """The literals that a function gives names; those that begin with another text add to that."""
    found: dict[str, list[str]] = {}
    for node in ast.walk(scope) if isinstance(scope, ast.FunctionDef) else ():
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and (text := _text(node.value))
            and not text.startswith("…")
        ):
            found.setdefault(node.targets[0].id, []).append(text)
    return found
