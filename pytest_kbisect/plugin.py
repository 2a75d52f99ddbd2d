"""The hooks that pytest calls. What they do is in other modules, which are imported when needed."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kbisect import options, reproducer_kinds, reproducers
from pytest_kbisect.fixtures import kbisect_configuration, kbisect_run, kbisect_session, kernel, program, vm
from pytest_kbisect.session import session_request
from pytest_kbisect.stash import GUEST, USAGE, WORKERS, session_of

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from pytest_kbisect.arch import Architecture
    from pytest_kbisect.bisection.executor import Executor
    from pytest_kbisect.crash.formats.format import CrashFormat
    from pytest_kbisect.guest.vm import Guest
    from pytest_kbisect.reproducer_kinds import ReproducerKind
    from pytest_kbisect.strategies.strategy import StrategyKind
    from pytest_kbisect.symptoms import SymptomKind


__all__ = ["kbisect_configuration", "kbisect_run", "kbisect_session", "kernel", "program", "vm"]

_ASKING = (
    *("help", "version", "markers", "showfixtures", "show_fixtures_per_test", "cacheshow"),
    *("collectonly", "setupplan", "setuponly"),
)
"""pytest's options that only print something and run no test."""

_MARKER = (
    "kbisect(config, configs, timeout, crash, cmdline, qemu, memory, cpus, runs, bad_when): what a reproducer "
    "needs (kernel configuration lines, named configurations, seconds, expected title, kernel arguments, QEMU "
    "arguments, MiB, processors, runs, symptoms)"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from pytest_kbisect import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(trylast=True)
def pytest_kbisect_reproducer_kinds(config: pytest.Config | None) -> Sequence[ReproducerKind]:
    from pytest_kbisect.syzkaller import syz_kind

    return (*reproducer_kinds.BUILT_IN, syz_kind.of(config))


@pytest.hookimpl(trylast=True)
def pytest_kbisect_symptoms() -> Sequence[SymptomKind]:
    from pytest_kbisect import symptoms

    return symptoms.BUILT_IN


@pytest.hookimpl(trylast=True)
def pytest_kbisect_architectures() -> Sequence[Architecture]:
    from pytest_kbisect import arch

    return arch.BUILT_IN


@pytest.hookimpl(trylast=True)
def pytest_kbisect_crash_formats() -> Sequence[CrashFormat]:
    from pytest_kbisect.crash.formats import BUILT_IN

    return BUILT_IN


@pytest.hookimpl
def pytest_kbisect_strategies() -> list[StrategyKind]:
    from pytest_kbisect.strategies.bayes import BAYES
    from pytest_kbisect.strategies.classic import CLASSIC

    return [BAYES, CLASSIC]


@pytest.hookimpl
def pytest_kbisect_executors(config: pytest.Config) -> list[Executor]:
    from pytest_kbisect.bisection.executor import LocalExecutor
    from pytest_kbisect.farm.dask_executor import DaskExecutor

    return [LocalExecutor(), DaskExecutor(config)]


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """A range makes this process the driver of a bisection; every commit is a session of its own.

    A replay only reads what such a driver wrote.
    """
    if any(getattr(config.option, name, None) for name in _ASKING):
        return None
    if session_request.is_by_hand(config):
        return session_request.repeat(config)
    _use_packages(config)
    if options.no_range(config):
        raise pytest.UsageError("--kbisect-range: '' is not a range: write A..B, or remove the option")
    if options.given(config, "range") and options.value(config, "range") and options.given(config, "commit"):
        raise pytest.UsageError(
            "--kbisect-commit and --kbisect-range exclude each other: remove --kbisect-commit to bisect"
        )
    if not (options.value(config, "range") or options.value(config, "replay")):
        for name in ("fix", "each", "ask"):
            if options.given(config, name) and not options.given(config, "range"):
                raise pytest.UsageError(f"--kbisect-{name} needs a range: add --kbisect-range A..B")
        return None
    _check_looking(config)
    from pytest_kbisect.bisection.driver import main

    if options.value(config, "range"):
        _share(config)
    return main(config)


def _use_packages(config: pytest.Config) -> None:
    """Make a git tree of kernel packages, which `--kbisect-kernel` then names to all that follows."""
    sources = options.value(config, "prebuilt")
    if not sources:
        return
    if options.given(config, "kernel"):
        if session_request.request_of(config) == session_request.SessionRequest():
            raise pytest.UsageError(
                "--kbisect-prebuilt and --kbisect-kernel exclude each other: remove --kbisect-kernel to bisect the packages"
            )
        return
    from pytest_kbisect.errors import KbisectError
    from pytest_kbisect.kernel.prebuilt import offers, package_tree

    cache = options.cache_folder(config)
    try:
        packages = offers.offered(sources, options.architecture(config), cache, config.invocation_params.dir)
        tree = package_tree.make(packages, cache / "packages")
    except KbisectError as error:
        raise pytest.UsageError(str(error)) from None
    config.option.kbisect_kernel = str(tree)


def _share(config: pytest.Config) -> None:
    """Have the processes that this one starts use the same frozen guests."""
    with contextlib.suppress(OSError):  # a cache folder that cannot be made is reported where it is needed
        session_of(config).share()


def _check_looking(config: pytest.Config) -> None:
    if options.value(config, "shell") or options.value(config, "gdb") or options.debugs(config):
        from pytest_kbisect import interactive

        interactive.check(config)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)
    if not options.in_use(config):
        return
    for option in options.OPTIONS:
        options.value(config, option.name)  # says what cannot be used before anything is started
    _check_looking(config)
    _use_entries(config)
    if hasattr(config, "workerinput"):
        from pytest_kbisect.process import die_with_parent

        die_with_parent()
    else:
        from pytest_kbisect import rootdir

        rootdir.check(config)
        config.pluginmanager.register(UsageWatch(config), "kbisect_usage")


def _use_entries(config: pytest.Config) -> None:
    """Use what other plugins have added; what cannot be used ends the session at once."""
    from pytest_kbisect.errors import UsageError

    try:
        reproducers.kinds(config)
        reproducers.check_symptoms(config)
        options.architecture(config)
        if len(config.hook.pytest_kbisect_crash_formats.get_hookimpls()) > 1:  # some besides ours
            from pytest_kbisect.crash import known

            before = known.current()
            known.use(known.registered(config.pluginmanager))
            config.add_cleanup(lambda: known.use(before))
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """`-n auto`: as many guests as processors and free memory allow."""
    if options.value(config, "kernel") is None or os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    from pytest_kbisect import parallel
    from pytest_kbisect.kernel.host_limits import MIB, memory_available

    available, memory = memory_available() // MIB, options.value(config, "memory")
    config.stash[WORKERS] = parallel.workers(parallel.processors(), available, memory)
    return config.stash[WORKERS].count


def pytest_report_header(config: pytest.Config) -> str | None:
    tree = options.value(config, "kernel")
    if tree is None:
        return None
    runs = options.value(config, "runs")
    each = "1 run" if runs == 1 else f"{runs} runs"
    text = f"kbisect: kernel {tree} at {options.value(config, 'commit')}, {each} of each test"
    if chosen := config.stash.get(WORKERS, None):
        text += f"\nkbisect: guests: {chosen.count} at a time, {chosen.why}"
    return text


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """A tree or a revision that the command line names and that cannot be used ends the session at once.

    One that an ini file names is for the tests that use a kernel: it is looked at once they are selected.
    """
    config = session.config
    if options.value(config, "kernel") is None or config.option.collectonly or hasattr(config, "workerinput"):
        return
    from pytest_kbisect.errors import KbisectError

    if options.given(config, "kernel") or options.given(config, "commit"):
        try:
            _ = session_of(config).commit  # raises where tree or revision cannot be used
        except KbisectError as error:
            raise pytest.UsageError(str(error)) from None
    if getattr(config.option, "tx", None):
        _share(config)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Copies of reproducers in a bisection's results are tests of that bisection, unless they are named."""
    from pytest_kbisect import layout

    return True if layout.is_kept(collection_path) else None


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    return reproducers.collect(file_path, parent)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A file that cannot be collected as it was asked for: whichever process reports it must know why."""
    report = yield
    if report.failed and USAGE in collector.config.stash:
        report.kbisect_usage = collector.config.stash[USAGE]  # type: ignore[attr-defined]
    return report


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if reproducers.OWN_FIXTURE in metafunc.fixturenames:
        from pytest_kbisect.errors import UsageError

        try:
            reproducers.parametrize(metafunc)
        except UsageError as error:
            raise reproducers.uncollected(metafunc.config, error) from None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A session of several bisections builds the kernel of all their tests, and runs some of them."""
    if options.value(config, "request") is not None and session_request.request_of(config).each:
        from pytest_kbisect.session import several

        session_of(config).fragments = reproducers.fragments(items)
        several.narrow(items, config)


def pytest_collection_finish(session: pytest.Session) -> None:
    """The selection is known: note what it asks of the kernel, and check that its programs compile."""
    config = session.config
    mended_first = not (config.option.continue_on_collection_errors or hasattr(config, "workerinput"))
    if USAGE in config.stash and mended_first:
        raise pytest.UsageError(config.stash[USAGE])
    if not any(reproducers.OWN_FIXTURE in getattr(item, "fixturenames", ()) for item in session.items):
        return
    from pytest_kbisect import preflight
    from pytest_kbisect.errors import KbisectError

    try:
        if options.value(config, "kernel") is not None and not config.option.collectonly:
            _ = session_of(config).commit  # as at the start of the session, for a tree of the ini file
        preflight.check(session_of(config), session.items, compile_=not config.option.collectonly)
    except KbisectError as error:
        if hasattr(config, "workerinput"):
            session_of(config).collection_error = error
        else:
            raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """The console, and the symptoms that a reproducer states, fail the test in its call phase."""
    guest = item.stash.get(GUEST, None)
    if guest is None:
        return (yield)
    from pytest_kbisect import judging

    try:
        result = yield from _with_console(item, guest)
    except Exception as error:
        judged = judging.of_run(item, guest, error)
        if judged is error:
            raise
        if judged is None:
            return None
        raise _in_sight(item, judged, guest) from error
    if judged := judging.of_run(item, guest, None):
        raise _in_sight(item, judged, guest)
    return result


def _with_console(item: pytest.Item, guest: Guest) -> Generator[None, Any, Any]:
    """A crash on the console fails the test, whatever the test itself came to."""
    from pytest_kbisect.errors import GuestError, KbisectError, KernelCrash

    try:
        result = yield
    except GuestError as error:
        if crash := guest.crash():
            raise _in_sight(item, crash.with_traceback(error.__traceback__), guest) from error
        raise _in_sight(item, error, guest) from error.__cause__
    except KbisectError as error:
        raise _in_sight(item, error, guest) from error.__cause__
    except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:
        try:
            guest.settle()
        except KernelCrash as crash:
            raise _in_sight(item, crash.with_traceback(error.__traceback__), guest) from error
        except KbisectError:
            pass  # the test's own words say more
        raise
    try:
        guest.settle()
    except KbisectError as error:
        raise _in_sight(item, error, guest) from error.__cause__
    return result


def _in_sight(item: pytest.Item, error: BaseException, guest: Guest) -> BaseException:
    """With --pdb, the error with its traceback cut where `vm` is in scope."""
    if not options.debugs(item.config):
        return error
    from pytest_kbisect import interactive

    return interactive.in_sight(error, guest)


def pytest_exception_interact(
    node: pytest.Item | pytest.Collector, report: pytest.CollectReport | pytest.TestReport
) -> None:
    """A test has failed and its guest still runs: give the user access, if that was asked for."""
    guest = node.stash.get(GUEST, None)
    if guest is None or not (options.value(node.config, "shell") or options.value(node.config, "gdb")):
        return
    from pytest_kbisect import interactive

    interactive.after_failure(node.config, guest, report)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    if reproducers.OWN_FIXTURE in getattr(item, "fixturenames", ()):
        from pytest_kbisect.reports import testreport

        testreport.tell(item, call)
        report = yield
        return testreport.worded(report, call)
    return (yield)


class UsageWatch:
    """In the controlling process: ends with exit code 4 if a test failed because of a usage or host error."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        usage = getattr(report, "kbisect_usage", None)
        if usage:
            self._config.stash.setdefault(USAGE, usage)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        from pytest_kbisect import properties

        for name, text in report.user_properties:
            if name == properties.USAGE:
                self._config.stash.setdefault(USAGE, str(text))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if USAGE in self._config.stash:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
