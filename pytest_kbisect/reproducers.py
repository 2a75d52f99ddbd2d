"""Collecting: a file in a reproducer folder becomes a parametrized test, if a kind of reproducer takes it.

`repro/name.c` is collected as a module with one test function called `name`, so that `-k`, `-m`,
fixtures, xdist and `--lf` treat it like any other test.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import fields
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kbisect import needs, options, reproducer_kinds, symptoms
from pytest_kbisect.errors import UsageError
from pytest_kbisect.reproducer_kinds import GuestProgram
from pytest_kbisect.stash import USAGE, session_of
from pytest_kbisect.symptoms.exit_status import CANNOT_RUN
from pytest_kbisect.symptoms.exit_status import NAME as EXIT_STATUS
from pytest_kbisect.symptoms.symptom import CRASH_NAME, Stage
from pytest_kbisect.symptoms.time_limit import NAME as TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_kbisect.guest.ssh import CommandResult
    from pytest_kbisect.guest.vm import Guest
    from pytest_kbisect.kernel.image import KernelImage
    from pytest_kbisect.needs import Needs
    from pytest_kbisect.reproducer_kinds import ReproducerKind
    from pytest_kbisect.symptoms import Symptom, SymptomKind

OWN_FIXTURE = "kbisect_session"
"""Behind `kernel` and `vm`: distinguishes our fixtures from others of those names."""

UNTESTABLE = (125, 126, 127)
"""Exit statuses by which a reproducer says that this kernel cannot be tested: git bisect run's own
125, and the shell's for a program that cannot be run or is not there."""

CANNOT_TEST = "reproducer"
"""Kind of the InfraError for these."""
ENDED: pytest.StashKey[CommandResult] = pytest.StashKey()
"""Of a test: how its reproducer's program ended."""

_SELFTEST = "kselftest-run"  # see kernel.selftests
_SECONDS: pytest.StashKey[float] = pytest.StashKey()
"""Of a test: the time limit that its kselftest sets."""
_FOLDER = "/tmp"  # of the guest, which is ours alone
_KINDS: pytest.StashKey[tuple[ReproducerKind, ...]] = pytest.StashKey()
_SYMPTOM_KINDS: pytest.StashKey[tuple[SymptomKind, ...]] = pytest.StashKey()
_NO_PROGRAM = re.compile(r"(?:^|: )(?P<program>[^\s:]+): (?:not found|[Nn]o such file|[Pp]ermission denied)")
"""How a shell says which program it cannot run."""


def kinds(config: pytest.Config) -> tuple[ReproducerKind, ...]:
    """The kinds of reproducers that plugins have registered. Raises UsageError for an entry that is none."""
    if _KINDS not in config.stash:
        config.stash[_KINDS] = reproducer_kinds.registered(config.pluginmanager, config)
    return config.stash[_KINDS]


def symptom_kinds(config: pytest.Config) -> tuple[SymptomKind, ...]:
    """The kinds of symptoms that plugins have registered. Raises UsageError for an entry that is none."""
    if _SYMPTOM_KINDS not in config.stash:
        config.stash[_SYMPTOM_KINDS] = symptoms.registered(config.pluginmanager)
    return config.stash[_SYMPTOM_KINDS]


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
            needed = reproducer_kinds.needs_of(self.kind, self.path)
            wanted = _symptoms(self.config, needed, self.path.name)
        except OSError as error:
            unread = UsageError(f"cannot read {self.path}: {error.strerror}")
            raise uncollected(self.config, unread) from None
        except UsageError as error:
            raise uncollected(self.config, error) from None
        function = _test_of(self.path, self.kind, _last_stage(wanted))
        asked = {field.name: value for field in fields(needed) if (value := getattr(needed, field.name))}
        marked: Callable[..., None] = pytest.mark.kbisect(**asked)(function)
        return marked


def uncollected(config: pytest.Config, error: Exception) -> pytest.Collector.CollectError:
    """A test that cannot be made as it was asked for: something to mend, in one line."""
    config.stash.setdefault(USAGE, str(error))
    return pytest.Collector.CollectError(str(error))


def check_symptoms(config: pytest.Config) -> None:
    """Raise UsageError where an option states what is no symptom."""
    for text in options.value(config, "bad-when"):
        symptoms.stated(text, "--kbisect-bad-when", symptom_kinds(config))


def _symptoms(config: pytest.Config, needed: Needs, where: str) -> tuple[Symptom, ...]:
    """What makes a run bad: what the reproducer states, else what the options do, else a crash.

    Raises UsageError for what is no symptom.
    """
    known = symptom_kinds(config)
    asked = needed.bad_when
    if needed.selftest and not asked and not options.value(config, "bad-when"):
        asked = (CRASH_NAME, "subtest *")
    own = tuple(symptoms.stated(text, where, known) for text in asked)
    if needed.bad_when and needed.crash and all(symptom.kind != CRASH_NAME for symptom in own):
        raise UsageError(
            f"{where}: kbisect-crash names a crash, and kbisect-bad-when does not look for any: remove one, or add "
            "kbisect-bad-when: crash"
        )
    if not needed.bad_when and needed.crash:
        return (symptoms.stated(CRASH_NAME, where),)
    flag = "--kbisect-bad-when"
    return own or tuple(
        symptoms.stated(text, flag, known) for text in options.value(config, "bad-when") or (CRASH_NAME,)
    )


def symptoms_of(item: pytest.Item) -> tuple[Symptom, ...]:
    """What makes a run bad, besides the test's own assertions. Raises UsageError for what is no symptom."""
    found = _symptoms(item.config, needs_of(item), item.nodeid)
    if not is_reproducer_file(item) and (
        of_programs := [one.kind for one in found if one.kind in {EXIT_STATUS, TIMEOUT}]
    ):
        if needs_of(item).bad_when:
            raise UsageError(
                f"{item.nodeid}: {of_programs[0]} is for C and shell files, a Python test runs several commands: "
                "remove it, and use assert"
            )
        found = tuple(one for one in found if one.kind not in of_programs)
    return found


def _last_stage(wanted: tuple[Symptom, ...]) -> Stage:
    return max((symptom.stage for symptom in wanted), key=list(Stage).index)


def is_reproducer_file(item: pytest.Item) -> bool:
    """Whether the test is of a file of another kind than Python."""
    return item.getparent(ReproducerFile) is not None


def runs_program(item: pytest.Item) -> bool:
    """Whether the test runs one program in a guest, whose end is noted (ENDED)."""
    return is_reproducer_file(item) and _last_stage(symptoms_of(item)) is Stage.RUN


def own_boot(item: pytest.Item) -> bool:
    """Whether each run of this test needs a boot of its own, because what it looks for may happen there."""
    file = item.getparent(ReproducerFile)
    return any(symptom.own_boot for symptom in symptoms_of(item)) or (
        file is not None and reproducer_kinds.runs_at_boot(file.kind)
    )


def _test_of(path: Path, kind: ReproducerKind, stage: Stage) -> Callable[..., None]:
    def build(kernel: KernelImage, kbisect_run: int) -> None:
        """That there is a kernel is all."""

    def boot(vm: Guest) -> None:
        """That there is a guest is all; it must still answer, as after each run."""

    def reproduce(vm: Guest, request: pytest.FixtureRequest) -> None:
        program = reproducer_kinds.prepare(
            path, kind, options.cache_folder(request.config), options.architecture(request.config)
        )
        if name := needs_of(request.node).selftest:
            selftest = session_of(request.config).selftest(name)
            request.node.stash[_SECONDS] = selftest.seconds
            program = GuestProgram({**selftest.files, **program.files}, ("sh", _SELFTEST, path.name))
        _run(vm, path.name, program, request)

    tests: dict[Stage, Callable[..., None]] = {Stage.BUILD: build, Stage.BOOT: boot, Stage.RUN: reproduce}
    return tests[stage]


def _run(vm: Guest, name: str, program: GuestProgram, request: pytest.FixtureRequest) -> None:
    """Run a reproducer until it ends or its time is over; the console and the symptoms it states decide.

    Raises InfraError for the exit statuses by which it says that it could not do its work, unless these are
    a symptom, and if its kind finds that it cannot test this kernel.
    """
    from pytest_kbisect.errors import InfraError

    counts = any(symptom.kind == EXIT_STATUS for symptom in symptoms_of(request.node))
    for file, mode in program.modes().items():
        vm.put(program.files[file], f"{_FOLDER}/{file}", mode=mode)
    words = program.words(_FOLDER)
    # A shell knows which signal has ended a program; ssh servers do not say so.
    command = f"{shlex.join(words)}; exit $?" if counts else words
    result = vm.run(command, timeout=timeout_of(request.node), may_time_out=True)
    request.node.stash[ENDED] = result
    print(result.stdout, end="")
    if counts and result.exit_status in CANNOT_RUN:
        _require_program(vm, name, words[0], result)
    if not counts and result.exit_status in UNTESTABLE:
        vm.settle()  # a crash says more than its program's exit status
        last = (result.stderr or result.stdout).strip().rpartition("\n")[2]
        raise InfraError(
            CANNOT_TEST,
            f"{name} says that it cannot test this kernel (exit status {result.exit_status}): {last}",
        )
    if result.stderr:
        print(result.stderr, end="")
    if why := program.untestable(result, _configuration_text(request)):
        vm.settle()
        raise InfraError(CANNOT_TEST, f"{name} cannot test this kernel: {why}")


def _configuration_text(request: pytest.FixtureRequest) -> str:
    """The .config of the kernel that runs."""
    kernel: KernelImage = request.getfixturevalue("kernel")
    return kernel.config.read_text("utf-8", "replace")


def _require_program(vm: Guest, name: str, program: str, result: CommandResult) -> None:
    """Raise UsageError where an exit status says only that the guest does not have a program."""
    said = _NO_PROGRAM.search(result.stderr.strip().rpartition("\n")[2])
    wanted = said["program"] if said else program
    if vm.run(f"command -v {shlex.quote(wanted)}").exit_status:
        raise UsageError(
            f"{name} cannot be run: the guest has no program {wanted} (exit status {result.exit_status}): use "
            "one that it has, or give it a user space with --kbisect-image"
        )


def needs_of(item: pytest.Item) -> needs.Needs:
    """What a test asked for, by header lines or marker."""
    return needs.from_markers(item.iter_markers("kbisect"), item.nodeid)


def timeout_of(item: pytest.Item) -> float:
    """Seconds a run of this test may take."""
    own = needs_of(item).timeout or item.stash.get(_SECONDS, None)
    return float(own or options.value(item.config, "timeout"))


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
        wanted[""].update({(source, line): None for line in (*asked.config, *_compat_config(item, asked))})
        for name, lines in asked.configs.items():
            variants.setdefault(name, {}).update({(source, line): None for line in lines})
    for name, lines_of_variant in variants.items():
        wanted[name] = {**wanted[""], **lines_of_variant}
    return {name: tuple(wanted[name]) for name in used}


def _compat_config(item: pytest.Item, asked: Needs) -> tuple[str, ...]:
    compat = options.architecture(item.config).compat if asked.bits == 32 else None
    return () if compat is None else (compat.config,)


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
