"""Detects that pytest has treated the value of one of our options as a test path and so missed its ini file.

pytest searches for its ini file before it loads plugins. At that time it treats the second word of
`--kbisect-kernel ~/linux` as a test path, so it searches in ~/linux instead of the tests' folder. Joining the
value with `=` avoids that.
"""

from __future__ import annotations

import os
import shlex
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_kbisect import options

if TYPE_CHECKING:
    from collections.abc import Iterable

_OWN_FILES = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini")
"""The files that pytest reads regardless of their content. If one exists, pytest reads no other file."""
_INI_FILES = (*_OWN_FILES, "pyproject.toml", "tox.ini", "setup.cfg")


def check(config: pytest.Config) -> None:
    """Raise UsageError if an ini file with our options is not read, or if the cache would be in the tree."""
    here = config.invocation_params.dir
    behind = _behind_options(config, here)
    if behind is None or config.option.rootdir or config.option.inifilename:
        return
    flag, word = behind
    remedy = f"write {flag}={shlex.quote(word)}"
    named = [os.path.abspath(here / argument.partition("::")[0]) for argument in config.args]
    tests = Path(os.path.commonpath(named or [str(here)]))
    if passed_over := _passed_over((tests, *tests.parents), config.inipath):
        raise pytest.UsageError(
            f"pytest does not read {passed_over}, because it treats {word} as a test path: {remedy}"
        )
    tree = options.value(config, "kernel")
    if tree is None or not config.pluginmanager.has_plugin("cacheprovider"):
        return
    tree = Path(os.path.abspath(tree))
    cache = config.rootpath / config.getini("cache_dir")
    if cache.is_relative_to(tree) and not here.is_relative_to(tree) and not tests.is_relative_to(tree):
        raise pytest.UsageError(
            f"pytest treats {word} as a test path and would write its cache there: {remedy}"
        )


def _behind_options(config: pytest.Config, here: Path) -> tuple[str, str] | None:
    """The first of our options whose value is a separate word and an existing path, and that word."""
    flags = {option.flag for option in options.OPTIONS if option.parse is options.path or option.many}
    words = [*shlex.split(os.environ.get("PYTEST_ADDOPTS", "")), *map(str, config.invocation_params.args)]
    found = ((flag, word) for flag, word in pairwise(words) if flag in flags and os.path.exists(here / word))
    return next(found, None)


def _passed_over(folders: Iterable[Path], read: Path | None) -> Path | None:
    """The nearest ini file with our options, if pytest has read another file."""
    for file in (folder / name for folder in folders for name in _INI_FILES):
        if file == read:
            return None
        if not (os.path.isfile(file) and os.access(file, os.R_OK)):
            continue
        text = file.read_text("utf-8", "replace")
        if "kbisect_" in text or ("addopts" in text and "--kbisect-" in text):
            return file
        if file.name in _OWN_FILES:
            return None
    return None
