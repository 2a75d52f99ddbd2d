"""The hooks by which other plugins add to this one. docs/contributing has an example of each.

A hook returns what its plugin adds. Where two plugins add the same thing, the plugin that pytest has
registered last comes first; built-in entries come last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kbisect.arch.architecture import Architecture
    from pytest_kbisect.crash.formats.format import CrashFormat
    from pytest_kbisect.reproducer_kinds import ReproducerKind

# -- reproducers -------------------------------------------------------------------------------------------


@pytest.hookspec
def pytest_kbisect_reproducer_kinds() -> Sequence[ReproducerKind]:  # type: ignore[empty-body]
    """Kinds of reproducers: files that become tests. The first kind that has a file's suffix collects it."""


# -- crashes -----------------------------------------------------------------------------------------------


@pytest.hookspec
def pytest_kbisect_crash_formats() -> Sequence[CrashFormat]:  # type: ignore[empty-body]
    """Ways in which kernels report faults. Of several that a report fits, the first is its own.

    Called once in each process, after pytest has loaded the plugins and conftest.py files that it loads at
    its start.
    """


# -- kernels and guests ------------------------------------------------------------------------------------


@pytest.hookspec
def pytest_kbisect_architectures() -> Sequence[Architecture]:  # type: ignore[empty-body]
    """Architectures for which kernels are built and run; --kbisect-arch names one."""
