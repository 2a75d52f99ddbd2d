"""The last word on a crash: its report with files and lines, for the commit that was found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kbisect.crash.symbolize import Symbolized, symbolize
from pytest_kbisect.kernel.provide import provide
from pytest_kbisect.kernel.symbols import functions_in, symbols_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kbisect.kernel.config import ConfigRequest
    from pytest_kbisect.kernel.rules import BuildRules
    from pytest_kbisect.kernel.tree import LinuxTree


def symbolized(
    report: str,
    tree: LinuxTree,
    commit: str,
    config: ConfigRequest,
    *,
    jobs: int,
    rules: BuildRules,
    progress: Callable[[str], None],
) -> Symbolized:
    """A report symbolized by debug information made for the functions in it alone.

    The kernel itself was built without, and stays the one that crashed. `progress` is told in a few words
    what is done. Raises KbisectError where the information cannot be made.
    """
    functions = functions_in(report)
    if not functions:
        return Symbolized(report, done=False)
    with (
        provide(tree, commit, config, jobs=jobs, rules=rules, progress=progress) as kernel,
        symbols_for(kernel, functions, tree, config, jobs=jobs, rules=rules, progress=progress) as vmlinux,
    ):
        return symbolize(report, vmlinux)
