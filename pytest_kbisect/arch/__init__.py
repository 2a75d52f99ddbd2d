"""Architectures: everything that depends on the processor, as one table entry in one file each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_kbisect import extensions
from pytest_kbisect.arch.architecture import Architecture
from pytest_kbisect.arch.arm64 import ARM64
from pytest_kbisect.arch.riscv64 import RISCV64
from pytest_kbisect.arch.x86_64 import X86_64
from pytest_kbisect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pluggy

BUILT_IN: Final[tuple[Architecture, ...]] = (X86_64, ARM64, RISCV64)
DEFAULT: Final = next((architecture for architecture in BUILT_IN if architecture.is_native()), X86_64)
"""The host's; where that is not known, guests are emulated."""


def registered(plugins: pluggy.PluginManager) -> tuple[Architecture, ...]:
    """The architectures of all plugins, built-in ones last. Raises UsageError for entries of another type."""
    return extensions.entries(plugins, "pytest_kbisect_architectures", Architecture)


def named(name: str, known: Sequence[Architecture]) -> Architecture:
    """The first architecture with this name. Raises UsageError if there is none."""
    for architecture in known:
        if name in {architecture.name, *architecture.aliases}:
            return architecture
    names = ", ".join(dict.fromkeys(architecture.name for architecture in known))
    raise UsageError(f"unknown architecture {name!r} (known: {names}): give another --kbisect-arch")


__all__ = ["BUILT_IN", "DEFAULT", "Architecture", "named", "registered"]
