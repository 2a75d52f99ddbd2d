"""Collecting: a file in a reproducer folder becomes a parametrized test, if a kind of reproducer takes it.

`repro/name.c` is collected as a module with one test function called `name`, so that `-k`, `-m`,
fixtures, xdist and `--lf` treat it like any other test.
"""

from __future__ import annotations

import os
from dataclasses import fields
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kbisect import needs, options, reproducer_kinds
from pytest_kbisect.errors import UsageError
from pytest_kbisect.stash import USAGE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_kbisect.guest.vm import Guest
    from pytest_kbisect.kernel.image import KernelImage
    from pytest_kbisect.reproducer_kinds import GuestProgram, ReproducerKind

OWN_FIXTURE = "kbisect_session"
"""Behind `kernel` and `vm`: distinguishes our fixtures from others of those names."""

UNTESTABLE = (125, 126, 127)
"""Exit statuses by which a reproducer says that this kernel cannot be tested: git bisect run's own
125, and the shell's for a program that cannot be run or is not there."""


_FOLDER = "/tmp"  # of the guest, which is ours alone
_KINDS: pytest.StashKey[tuple[ReproducerKind, ...]] = pytest.StashKey()


def kinds(config: pytest.Config) -> tuple[ReproducerKind, ...]:
    """The kinds of reproducers that plugins have registered. Raises UsageError for an entry that is none."""
    if _KINDS not in config.stash:
        config.stash[_KINDS] = reproducer_kinds.registered(config.pluginmanager, config)
    return config.stash[_KINDS]


def _may_be_one(path: Path, config: pytest.Config) -> bool:
    """Whether a file may be a reproducer: in a reproducer folder, or named on the command line."""
    if any(folder in path.parents for folder in options.reproducer_folders(config)):
        return True
    return options.in_use(config) and any(
        os.path.abspath(config.invocation_params.dir / argument.partition("::")[0]) == str(path)
        for argument in config.args
    )


class ReproducerFile(pytest.Module):
    """A reproducer, seen as a module with one test. `kind` is its kind."""

    kind: ReproducerKind

    def _getobj(self) -> ModuleType:
        module = ModuleType(self.path.stem)
        module.__file__ = str(self.path)
        setattr(module, self.path.stem, self._test())
        return module

    def funcnamefilter(self, name: str) -> bool:
        """Our one function is a test whatever `python_functions` says."""
        return name == self.path.stem

    def classnamefilter(self, _name: str) -> bool:
        return False

    def _test(self) -> Callable[..., None]:
        try:
            needed = needs.from_source(self.path.read_text("utf-8", "replace"), self.path.name)
        except OSError as error:
            unread = UsageError(f"cannot read {self.path}: {error.strerror}")
            raise uncollected(self.config, unread) from None
        except UsageError as error:
            raise uncollected(self.config, error) from None
        function = _test_of(self.path, self.kind)
        wanted = {field.name: value for field in fields(needed) if (value := getattr(needed, field.name))}
        marked: Callable[..., None] = pytest.mark.kbisect(**wanted)(function)
        return marked


def uncollected(config: pytest.Config, error: Exception) -> pytest.Collector.CollectError:
    """A test that cannot be made as it was asked for: something to mend, in one line."""
    config.stash.setdefault(USAGE, str(error))
    return pytest.Collector.CollectError(str(error))


def _test_of(path: Path, kind: ReproducerKind) -> Callable[..., None]:
    def reproduce(vm: Guest, request: pytest.FixtureRequest) -> None:
        program = reproducer_kinds.prepare(path, kind, options.cache_folder(request.config))
        _run(vm, path.name, program, request)

    return reproduce


def _run(vm: Guest, name: str, program: GuestProgram, request: pytest.FixtureRequest) -> None:
    """Run a reproducer until it ends or its time is over; either is fine, the console decides.

    Raises InfraError for the exit statuses by which it says that it could not do its work, and where its kind
    says so.
    """
    from pytest_kbisect.errors import InfraError

    for file, mode in program.modes().items():
        vm.put(program.files[file], f"{_FOLDER}/{file}", mode=mode)
    result = vm.run(program.words(_FOLDER), timeout=timeout_of(request.node), may_time_out=True)
    print(result.stdout, end="")
    if result.exit_status in UNTESTABLE:
        vm.settle()  # a crash says more than its program's exit status
        words = (result.stderr or result.stdout).strip().rpartition("\n")[2]
        raise InfraError(
            "reproducer",
            f"{name} says that it cannot test this kernel (exit status {result.exit_status}): {words}",
        )
    if result.stderr:
        print(result.stderr, end="")
    if why := program.untestable(result, _configuration_text(request)):
        vm.settle()
        raise InfraError("reproducer", f"{name} cannot test this kernel: {why}")


def _configuration_text(request: pytest.FixtureRequest) -> str:
    """The .config of the kernel that runs."""
    kernel: KernelImage = request.getfixturevalue("kernel")
    return kernel.config.read_text("utf-8", "replace")


def needs_of(item: pytest.Item) -> needs.Needs:
    """What a test asked for, by header lines or marker."""
    return needs.from_markers(item.iter_markers("kbisect"), item.nodeid)


def timeout_of(item: pytest.Item) -> float:
    """Seconds a run of this test may take."""
    return float(needs_of(item).timeout or options.value(item.config, "timeout"))


def parametrize(metafunc: pytest.Metafunc) -> None:
    """One test per configuration (where any is named) and per run."""
    config, test = metafunc.config, metafunc.definition
    wanted = needs.from_markers(test.iter_markers("kbisect"), test.nodeid)
    if wanted.configs:
        metafunc.parametrize("kbisect_configuration", list(wanted.configs), scope="session")
    if "kbisect_run" in metafunc.fixturenames:
        said = wanted.runs if not options.given(config, "runs") else None
        runs = said or options.value(config, "runs")
        metafunc.parametrize("kbisect_run", range(runs), ids=[f"run{i}" for i in range(runs)])


def fragments(items: list[pytest.Item]) -> dict[str, tuple[tuple[str, str], ...]]:
    """What the selected tests ask of each configuration they use: its name -> ((source, line), ...).

    "" is the configuration without a name; a named one is that plus its own lines.
    """
    used = dict.fromkeys(_configuration(item) for item in items if _uses_kernel(item))
    wanted: dict[str, dict[tuple[str, str], None]] = {"": {}}
    variants: dict[str, dict[tuple[str, str], None]] = {}
    for item in items:
        if not _uses_kernel(item):
            continue
        # (The id of a test outside pytest's root names no file.)
        asked, source = needs_of(item), item.nodeid.partition("::")[0] or item.path.name
        wanted[""].update({(source, line): None for line in asked.config})
        for name, lines in asked.configs.items():
            variants.setdefault(name, {}).update({(source, line): None for line in lines})
    for name, lines_of_variant in variants.items():
        wanted[name] = {**wanted[""], **lines_of_variant}
    return {name: tuple(wanted[name]) for name in used}


def _uses_kernel(item: pytest.Item) -> bool:
    return OWN_FIXTURE in getattr(item, "fixturenames", ())


def _configuration(item: pytest.Item) -> str:
    """The name of the configuration that a test runs with."""
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("kbisect_configuration", "")) if callspec else ""


def collect(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """The answer to pytest_collect_file."""
    config = parent.config
    if file_path.suffix == ".py" or not _may_be_one(file_path, config):
        return None
    kind = reproducer_kinds.kind_of(file_path, kinds(config))
    if kind is None:
        return None
    collector: Any = ReproducerFile.from_parent(parent, path=file_path)
    collector.kind = kind
    return collector  # type: ignore[no-any-return]
