"""What each run executed, as objects of its kernel: asked for by the bisection that started this session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_kbisect import properties
from pytest_kbisect.errors import InfraError, KbisectError
from pytest_kbisect.guest import executed
from pytest_kbisect.kernel import build, host_limits, patches, provide
from pytest_kbisect.kernel.minimize import defining
from pytest_kbisect.session.watching import do_what_every_run_does

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pytest_kbisect.guest.vm import Guest
    from pytest_kbisect.kernel.config import ConfigRequest
    from pytest_kbisect.kernel.image import KernelImage
    from pytest_kbisect.kernel.rules import BuildRules
    from pytest_kbisect.kernel.tree import LinuxTree


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the functions of a kernel are, and in which objects; `trouble` says why that is not known."""

    symbols: Sequence[defining.Symbol] = ()
    objects: Sequence[str] = ()
    trouble: str = ""


def layout_of(
    kernel: KernelImage,
    tree: LinuxTree,
    config: ConfigRequest,
    rules: BuildRules,
    *,
    folder: Path,
    jobs: int,
    progress: Callable[[str], None],
) -> Layout:
    """The layout of a kernel. Its O= folder says which object has which function: it is built again if gone.

    `folder` is for the log of that.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        tools, config = provide.prepared(config, rules)
        source = patches.to_build(tree, kernel.commit, rules.patches)
        with (
            host_limits.writing(tree.cache),
            build.build(
                tree, source, config, tools, jobs=jobs, log=folder / "build.log", progress=progress
            ) as built,
        ):
            progress("list the functions of all objects")
            defined = defining.definers(built.files["vmlinux"].parent, tools)
    except KbisectError as error:
        return Layout(trouble=str(error))
    symbols = defining.functions_of(kernel.vmlinux)
    return Layout(symbols, defining.placed(symbols, defined))


@dataclass(slots=True)
class Recorded:
    """The record of one run."""

    log: Path
    trouble: str = ""

    def end(self, guest: Guest) -> None:
        """The run is over."""
        if not self.trouble:
            guest.stop_recording()

    def facts(self, layout: Callable[[], Layout]) -> list[tuple[str, str]]:
        """As properties of the test; the log is deleted."""
        if self.trouble:
            return [(properties.UNRECORDED, self.trouble)]
        found = executed.addresses(self.log)
        self.log.unlink()
        known = layout()
        if known.trouble:
            return [(properties.UNRECORDED, known.trouble)]
        by_object = defining.executed(found, known.symbols, known.objects)
        return [
            (properties.CODE, " ".join([path, *sorted(functions)]))
            for path, functions in sorted(by_object.items())
        ]


def record(guest: Guest, log: Path) -> Recorded:
    """Record what a guest executes from now on and has not executed before.

    It does first what every run makes it do, so that this is not in the record. Raises what Guest.run raises,
    but not for what recording itself may fail of: the run is made all the same.
    """
    do_what_every_run_does(guest)
    log.unlink(missing_ok=True)
    recorded = Recorded(log)
    try:
        guest.record_code(log)
    except InfraError as error:
        recorded.trouble = str(error.args[0])
    return recorded
