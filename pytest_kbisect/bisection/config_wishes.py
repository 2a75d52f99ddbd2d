"""What the user wants done to the configuration before the search: checked before anything is built."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_kbisect import options
from pytest_kbisect.errors import UsageError
from pytest_kbisect.kernel import config as configurations

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

_ALONE = {
    "ask": "a person would be asked for each configuration that is tried",
    "each": "a configuration is made smaller for one test; do that first, and give the minimized.config that it"
    " writes with --kbisect-config",
    "prebuilt": "packages have the configuration that they were built with",
    "modules": "what is executed in a module cannot be recorded",
}
"""Options that exclude a smaller configuration, and why."""
_HEADER = re.compile(r"^# Linux/(\S+) ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ConfigWishes:
    """Look for a small configuration (`minimize`), try `baseline` first; `keep` all detectors."""

    minimize: bool = False
    keep: bool = False
    baseline: str = ""
    """Text of a whole configuration; empty: none."""


def wishes_of(config: pytest.Config) -> ConfigWishes:
    """The wishes. Raises UsageError for those that contradict other options, and for unusable files."""
    minimize, keep = options.value(config, "minimize-config"), options.value(config, "keep-config")
    path = options.value(config, "baseline")
    if path is not None and not minimize:
        raise UsageError(
            "--kbisect-baseline names where a search for a small configuration begins: add --kbisect-minimize-config"
        )
    if not minimize:
        return ConfigWishes(keep=keep or any(options.value(config, name) for name in _ALONE))
    for name, why in _ALONE.items():
        if options.value(config, name):
            raise UsageError(
                f"--kbisect-minimize-config cannot be used with --kbisect-{name}: {why}: remove one"
            )
    whole = options.kernel_request(config)
    if not whole.base:
        raise UsageError(
            "--kbisect-minimize-config needs a whole configuration to begin with: give a .config with "
            "--kbisect-config; fragments over tinyconfig are small already"
        )
    return ConfigWishes(minimize, keep, _baseline(path, whole.base) if path is not None else "")


def _baseline(path: Path, whole: str) -> str:
    """The text of the baseline. Raises UsageError."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot read the baseline configuration {path}: {error.strerror}: give a .config"
        ) from None
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the baseline configuration {path} is not text (byte {error.start}): give a .config"
        ) from None
    if not configurations.is_whole(text):
        raise UsageError(
            f"the baseline {path} is not a whole configuration: give a .config as make writes it, not a fragment"
        )
    ours, theirs = _HEADER.search(whole), _HEADER.search(text)
    if ours and theirs and ours[1] != theirs[1]:
        raise UsageError(
            f"the baseline {path} is of the architecture {theirs[1]}, the configuration is of {ours[1]}: give one "
            "of the same architecture"
        )
    return text
