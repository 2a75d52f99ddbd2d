"""What holds for each build of a session or a bisection, whoever starts it and whatever for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_kbisect.kernel.patches import Patch


@dataclass(frozen=True, slots=True)
class CompilerName:
    """Which compiler builds kernels, by name; both empty: gcc, or the cross gcc of the architecture.

    `cc` is a program (gcc-11, clang-19, a path). `llvm` stands for all of LLVM's tools: their suffix (-19),
    the folder that they are in (with a slash at its end), or "1" for tools without a suffix.
    """

    cc: str = ""
    llvm: str = ""

    def __str__(self) -> str:
        if self.llvm:
            return "LLVM" if self.llvm == "1" else f"LLVM{self.llvm}"
        return self.cc or "gcc"

    @property
    def option(self) -> str:
        """The option that chooses it; empty for the default."""
        if self.llvm:
            return f"--kbisect-llvm={self.llvm}"
        return f"--kbisect-cc={self.cc}" if self.cc else ""


ANY: Final = CompilerName()


@dataclass(frozen=True, slots=True)
class BuildRules:
    """`store_limit` is in bytes of built kernels.

    `full`: nothing is left out because of lists of the files that a build has read. Each commit is configured
    and built, make enters all directories, and no kernel that was built otherwise is taken from the store.
    `remedies` are names (see remedies.named). `patches` are applied to each commit that is built.
    """

    store_limit: int
    full: bool = False
    compiler: CompilerName = ANY
    remedies: tuple[str, ...] = ()
    patches: tuple[Patch, ...] = ()
