"""The fixtures `kernel`, `vm` and `program`, and what they record in JUnit XML."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Protocol

import pytest

from pytest_kbisect import judging, options, properties
from pytest_kbisect.errors import BootError, BuildError, ConfigError, PatchError, UsageError
from pytest_kbisect.reproducers import needs_of, own_boot
from pytest_kbisect.session import several
from pytest_kbisect.session.expectation import Expectation
from pytest_kbisect.stash import GUEST, session_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_kbisect.guest.vm import Guest
    from pytest_kbisect.kernel.image import KernelImage
    from pytest_kbisect.session.shared import Session


class Compile(Protocol):
    """What the fixture `program` is: compile a C source, a file or a text, into a static program."""

    def __call__(self, source: Path | str, *, name: str = "", flags: tuple[str, ...] = ()) -> Path:
        """The program's path. Raises UsageError with the compiler's words."""
        ...


@pytest.fixture
def kbisect_configuration() -> str:
    """The name of the configuration in turn; "" where the reproducer names none."""
    return ""


@pytest.fixture
def kbisect_run() -> int:
    """The number of the run, from 0."""
    return 0


@pytest.fixture(scope="session")
def kbisect_session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """What this pytest process shares between its tests."""
    session = session_of(request.config)
    if session.consoles is None:  # pytest keeps the temporary folders of its last three sessions
        session.consoles = tmp_path_factory.getbasetemp() / "consoles"
    return session


@pytest.fixture
def kernel(
    request: pytest.FixtureRequest, kbisect_session: Session, kbisect_configuration: str
) -> KernelImage:
    """The built kernel: commit, signature, config, image, vmlinux, compiler (see KernelImage)."""
    record = request.node.user_properties.append
    asked = several.asked_of(request.node)
    several.note(request.node)
    if several.has_ended(request.node):
        record((properties.UNNEEDED, "1"))
        pytest.skip("no more runs of this test are needed at this commit")
    if kbisect_configuration:
        record((properties.CONFIGURATION, kbisect_configuration))
    record((properties.COMMIT, kbisect_session.commit))
    record((properties.HOST, kbisect_session.host))
    for title in needs_of(request.node).crash:
        record((properties.EXPECTED, title))
    try:
        built = kbisect_session.kernel(kbisect_configuration)
    except BuildError as error:
        if not isinstance(error, ConfigError) and (shown := judging.of_build(request.node, error)):
            raise shown from error
        bisecting = kbisect_session.bisecting
        if isinstance(error, ConfigError | PatchError) and (not bisecting or asked.strict):
            raise UsageError(str(error)) from None
        if not bisecting:
            raise
        record((properties.OUTCOME, "build-failed"))  # a bisection skips what does not build
        record((properties.TITLE, str(error)))
        pytest.skip("\n".join([str(error), *(line for line in error.cause if line not in str(error))]))
    record((properties.SIGNATURE, built.signature))
    record((properties.COMPILER, built.compiler))
    for fact in _costs(built):
        record(fact)
    if built.signature in asked.known:
        record((properties.SAME_KERNEL, "1"))
        pytest.skip("the same kernel was tested before, at another commit")
    return built


def _costs(built: KernelImage) -> Iterator[tuple[str, str]]:
    """What having this kernel took in this session."""
    yield properties.BUILD_SECONDS, f"{0.0 if built.cached else built.seconds:.3f}"
    yield properties.CHECKOUT_SECONDS, f"{built.spent.checkout:.3f}"
    yield properties.CONFIGURE_SECONDS, f"{built.spent.configure:.3f}"
    yield properties.MAKE_SECONDS, f"{built.spent.make:.3f}"
    yield properties.WAIT_SECONDS, f"{built.spent.waiting:.3f}"
    if built.sources is not None:
        yield properties.SOURCES, str(built.sources)
    if built.same_as:
        yield properties.SAME_AS, built.same_as
    if not built.cached:
        yield properties.CCACHE, f"{built.ccache_hits}/{built.ccache_hits + built.ccache_misses}"


@pytest.fixture
def vm(
    request: pytest.FixtureRequest,
    kbisect_run: int,
    kernel: KernelImage,
    kbisect_session: Session,
    kbisect_configuration: str,
) -> Iterator[Guest]:
    """A pristine guest of this kernel, just booted or restored as it was then; each test gets its own.

    `run(command, timeout=seconds)`, `run_program(path, *arguments, timeout=seconds)`,
    `put(local, remote)`, `get(remote, local)`, `console.text()`. A crash on its console fails the test.
    """
    record = request.node.user_properties.append
    record((properties.RUN, str(kbisect_run)))
    record((properties.BEGAN, f"{time.time():.3f}"))
    record((properties.CONSOLE, str(kbisect_session.console_folder(request.node.nodeid) / "console.log")))
    with _booted(request, kernel, kbisect_session) as guest:
        record((properties.BOOT_SECONDS, f"{guest.boot_seconds:.3f}"))
        record((properties.RESTORE_SECONDS, f"{guest.restore_seconds:.3f}"))
        if kbisect_session.ran_on:
            record((properties.MACHINE, kbisect_session.ran_on))
        record((properties.BOOT, "fresh" if guest.boot_number is None else str(guest.boot_number)))
        for report in guest.boot_reports:
            record((properties.BOOT_CRASH, report.title))
        if shown := judging.of_guest(request.node, guest):
            raise shown
        request.node.stash[GUEST] = guest
        expected = several.asked_of(request.node).expect
        wanted = Expectation(frozenset([*needs_of(request.node).crash, *expected]))
        guest.expect(wanted.met_by)
        for report in guest.boot_reports:
            if wanted.met_by(report):
                kbisect_session.events.say_once(
                    f"note: the boot of this kernel has shown {report.title} already: a WARN_ON_ONCE() warns"
                    " again in a run only if the kernel has CONFIG_DEBUG_FS"
                )
        if options.value(request.config, "gdb"):
            from pytest_kbisect import interactive

            interactive.before_run(request.config, guest, kbisect_session.folder / "gdb")
        reached = kbisect_session.watch(guest, kernel, several.asked_of(request.node))
        recorded = kbisect_session.record(guest)
        started = time.monotonic()
        yield guest
        ended = time.monotonic()
        if recorded is not None:
            recorded.end(guest)
            request.node.user_properties += recorded.facts(
                lambda: kbisect_session.layout(kernel, kbisect_configuration)
            )
        if reached is not None:
            request.node.user_properties += reached.facts()
        record((properties.RUN_SECONDS, f"{ended - started:.3f}"))
        if guest.unsettled:  # a fixture has cleaned up, or failed, after all looks at the console
            guest.settle()
    record((properties.TEARDOWN_SECONDS, f"{time.monotonic() - ended:.3f}"))


@contextlib.contextmanager
def _booted(request: pytest.FixtureRequest, kernel: KernelImage, session: Session) -> Iterator[Guest]:
    """A guest of a kernel. Raises what a boot that failed is."""
    with contextlib.ExitStack() as held:
        name = request.node.nodeid
        booting = session.guest(kernel, needs_of(request.node), name, own_boot=own_boot(request.node))
        try:
            guest = held.enter_context(booting)
        except BootError as error:
            console = session.console_folder(name) / "console.log"
            raise judging.of_boot(request.node, error, console) or error from error.__cause__
        yield guest


@pytest.fixture(scope="session")
def program(request: pytest.FixtureRequest) -> Compile:
    """Compile a C source (a path, or the text itself) into a static program, once per content."""
    from pytest_kbisect import programs

    folder = options.cache_folder(request.config) / "programs"

    def compile_(source: Path | str, *, name: str = "", flags: tuple[str, ...] = ()) -> Path:
        compiler = programs.compiler(options.architecture(request.config))
        return programs.compile_static(source, folder, name=name, flags=flags, compiler=compiler)

    return compile_
