"""Kinds of reproducers: which files a kind collects, and what a guest needs to run one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from pytest_kbisect import extensions, needs
from pytest_kbisect.arch import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    import pluggy
    import pytest

    from pytest_kbisect.arch import Architecture
    from pytest_kbisect.guest.ssh import CommandResult
    from pytest_kbisect.needs import Needs


def _says_nothing(_result: CommandResult, _configuration: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class GuestProgram:
    """What a guest runs: files, which are copied into one folder there, and a command.

    `files` maps names in that folder to files of the host, whose executable bits are kept. A word of
    `command` that is one of these names stands for the file's path in the guest.

    `log` are lines for the log of a bisection, such as the revision of a tool. `untestable` is asked after
    a run that showed no crash, with the result of the command and the kernel's .config as text: why the run
    says nothing of the kernel, or "" if it does.
    """

    files: Mapping[str, Path]
    command: Sequence[str]
    log: Sequence[str] = ()
    untestable: Callable[[CommandResult, str], str] = field(default=_says_nothing, compare=False)

    def words(self, folder: str) -> list[str]:
        """The command, with the files in this folder of the guest."""
        return [f"{folder}/{word}" if word in self.files else word for word in self.command]

    def modes(self) -> dict[str, int]:
        """The mode of each file in the guest, by its name."""
        return {name: 0o644 | path.stat().st_mode & 0o111 for name, path in self.files.items()}


@runtime_checkable
class ReproducerKind(Protocol):
    """A kind of reproducer. The comment lines `kbisect-...:` of needs.py are read for every kind."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def suffixes(self) -> tuple[str, ...]:
        """It collects files whose names end so, in reproducer folders or named on the command line."""
        ...

    @property
    def requires(self) -> tuple[str, ...]:
        """Programs that the host must have. They are looked for before anything is built."""
        ...

    def prepare(self, source: Path, cache: Path) -> GuestProgram:
        """Make a source ready on the host. Called once before the first build, and again for each run.

        `cache` is a folder for what takes time to make; whoever fills it chooses names that depend on the
        content. A kind that compiles has one more argument, keyword-only: `architecture`, that of the guests.
        Raises UsageError where the source cannot be used, HostError where the host lacks something.
        """
        ...

    def related_files(self, source: Path) -> Iterable[Path]:
        """Further files that the result depends on, such as headers: noted, and copied into the results."""
        ...


@runtime_checkable
class UsesTools(Protocol):
    """A kind of reproducer that runs large programs of the host, besides being a ReproducerKind."""

    def tools(self, source: Path) -> Iterable[Path]:
        """Programs that the result depends on. A change makes another bisection; they are not copied."""
        ...


@runtime_checkable
class KernelSuite(Protocol):
    """What a kind has, besides, whose reproducers are part of the kernel and run while it boots."""

    def needs(self, text: str, name: str) -> Needs:
        """What a source asks for; its comment lines are not read besides. Raises UsageError."""
        ...


class _C:
    """C sources, compiled on the host into static programs."""

    name = "C"
    suffixes = (".c",)
    requires = ("gcc",)

    def prepare(self, source: Path, cache: Path, *, architecture: Architecture = DEFAULT) -> GuestProgram:
        from pytest_kbisect.programs import compat_flags, compile_static, compiler

        flags = compat_flags(architecture, source) if needs_of(self, source).bits == 32 else ()
        program = compile_static(source, cache, compiler=compiler(architecture), flags=flags)
        return GuestProgram({program.name: program}, (program.name,))

    def related_files(self, source: Path) -> Iterable[Path]:
        from pytest_kbisect.programs import headers

        return headers(source)


class _Shell:
    """Shell scripts, run by the guest's own shell whatever their first line says."""

    name = "shell"
    suffixes = (".sh",)
    requires: tuple[str, ...] = ()

    def prepare(self, source: Path, cache: Path) -> GuestProgram:  # noqa: ARG002 - the protocol's
        return GuestProgram({source.name: source}, ("sh", source.name))

    def related_files(self, source: Path) -> Iterable[Path]:  # noqa: ARG002 - the protocol's
        return ()


class _KUnit:
    """Suites of KUnit tests: configurations with which a kernel runs them when it boots."""

    name = "KUnit"
    suffixes = (".kunitconfig",)
    requires: tuple[str, ...] = ()

    def prepare(self, source: Path, cache: Path) -> GuestProgram:  # noqa: ARG002 - the protocol's
        return GuestProgram({}, ("true",))

    def related_files(self, source: Path) -> Iterable[Path]:  # noqa: ARG002 - the protocol's
        return ()

    def needs(self, text: str, name: str) -> Needs:
        """Each line that is no comment is one of configuration; a subtest that fails or crashes is bad."""
        own = needs.from_source(text, name)
        lines = (line.strip() for line in text.splitlines())
        config = tuple(line for line in lines if line and (line[0] != "#" or line.endswith(" is not set")))
        return replace(
            own, config=(*_KUNIT, *own.config, *config), bad_when=own.bad_when or ("boot", "subtest *")
        )


_KUNIT: Final = ("CONFIG_KUNIT=y", "CONFIG_RUNTIME_TESTING_MENU=y")
"""The menu of most suites is on by default, but not in a tinyconfig."""
BUILT_IN: Final[tuple[ReproducerKind, ...]] = (_C(), _Shell(), _KUnit())
"""Those that need no options."""


def needs_of(kind: ReproducerKind, source: Path) -> Needs:
    """What a source asks for. Raises OSError, or UsageError naming file and line."""
    text = source.read_text("utf-8", "replace")
    return (
        kind.needs(text, source.name)
        if isinstance(kind, KernelSuite)
        else needs.from_source(text, source.name)
    )


def runs_at_boot(kind: ReproducerKind) -> bool:
    """Whether reproducers of a kind run while the kernel boots, so that each run needs a boot."""
    return isinstance(kind, KernelSuite)


def registered(
    plugins: pluggy.PluginManager, config: pytest.Config | None = None
) -> tuple[ReproducerKind, ...]:
    """All kinds, for the options of a session if there is one. Raises UsageError for what is none."""
    return extensions.entries(plugins, "pytest_kbisect_reproducer_kinds", ReproducerKind, config=config)  # type: ignore[type-abstract]


def kind_of(path: Path, kinds: Iterable[ReproducerKind]) -> ReproducerKind | None:
    """The first kind that collects files of this name; None where there is none."""
    return next((kind for kind in kinds if path.name.endswith(kind.suffixes)), None)


def prepare(
    source: Path, kind: ReproducerKind, cache: Path, architecture: Architecture = DEFAULT
) -> GuestProgram:
    """Make a source ready; `cache` is the cache folder. Raises UsageError or HostError."""
    import inspect
    import shutil

    from pytest_kbisect.errors import HostError

    absent = [program for program in kind.requires if shutil.which(program) is None]
    if absent:
        raise HostError(f"{source.name} needs {', '.join(absent)} on this host: install it")
    folder = cache / "programs"
    if "architecture" in inspect.signature(kind.prepare).parameters:
        return kind.prepare(source, folder, architecture=architecture)  # type: ignore[call-arg]
    return kind.prepare(source, folder)
