"""Where configurations are made without building them: a slot's tree, with an O= folder of its own."""

from __future__ import annotations

import contextlib
import subprocess
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from pytest_kbisect.errors import HostError
from pytest_kbisect.kernel import config, configure, host_limits, patches, provide, worktrees
from pytest_kbisect.kernel.dependencies import Kconfig
from pytest_kbisect.kernel.make import Make
from pytest_kbisect.kernel.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pytest_kbisect.kernel.config import ConfigRequest
    from pytest_kbisect.kernel.rules import BuildRules
    from pytest_kbisect.kernel.tree import LinuxTree

_OUTPUT: Final = ".obj-configurations"


@dataclass
class Place:
    """A commit's tree, and the tools that make configurations in it."""

    tree: Path
    _request: ConfigRequest
    _make: Make

    @cached_property
    def kconfig(self) -> Kconfig:
        """The tree's Kconfig files."""
        return Kconfig(self.tree, self._request.architecture.source_folder)

    def read(self, name: str) -> str | None:
        """The text of a file of the tree; None where there is none."""
        path = self.tree / name
        return path.read_text("utf-8", "replace") if path.is_file() else None

    def resolved(self, settings: Mapping[str, str] | None = None) -> str:
        """The whole configuration with these settings, as `make olddefconfig` completes it.

        What is asked for besides (by the guest, by reproducers) is laid over it, and may be missing.
        Raises HostError where make fails.
        """
        request = replace(self._request, base=changed(self._request.base, settings or {}))
        try:
            return configure.lay(request, self._make.output.path, self._make.targets, self._make.merge)
        except subprocess.CalledProcessError:
            last = next((line for line in reversed(self._make.lines) if line.strip()), "")
            raise HostError(f"make olddefconfig failed: {last.strip()}: see {self._make.log}") from None


def changed(text: str, settings: Mapping[str, str]) -> str:
    """A .config with other values for some symbols; those that it does not mention are added."""
    left = dict(settings)
    lines = []
    for line in text.splitlines():
        if line.startswith("CONFIG_"):
            symbol = line.removeprefix("CONFIG_").partition("=")[0]
        else:
            symbol = line.removeprefix("# CONFIG_").removesuffix(" is not set")
        lines.append(config.line_of(symbol, left.pop(symbol)) if symbol in left else line)
    lines += [config.line_of(symbol, value) for symbol, value in left.items()]
    return "\n".join([*lines, ""])


@contextlib.contextmanager
def at(
    linux: LinuxTree,
    commit: str,
    request: ConfigRequest,
    rules: BuildRules,
    *,
    log: Path,
    waiting: Callable[[], None] = lambda: None,
) -> Iterator[Place]:
    """A place at a commit for the block. What is run and printed there goes to `log`.

    Raises HostError where the disk is full, PatchError for a patch of the rules that conflicts.
    """
    tools, request = provide.prepared(request, rules)
    source = patches.to_build(linux, commit, rules.patches)
    with (
        host_limits.writing(linux.cache),
        worktrees.slot(linux, source, _OUTPUT, room=0, waiting=waiting, edits=tools.remedies.edits) as slot,
    ):
        output = Output(slot.tree / _OUTPUT)
        output.path.mkdir(exist_ok=True)
        log.parent.mkdir(parents=True, exist_ok=True)
        yield Place(slot.tree, request, Make(tools, slot, output, linux.cache, 1, log))
