"""`--kbisect-range`: what must be right before anything is built, the search, and what it leaves behind."""

from __future__ import annotations

import contextlib
import signal
import sys
import traceback
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kbisect import arch, atomic, layout, options, parallel, reproducers
from pytest_kbisect.bisection import (
    asking,
    conclusion,
    config_wishes,
    controls,
    registry,
    replaying,
    workplace,
)
from pytest_kbisect.bisection.commit_request import Share
from pytest_kbisect.bisection.executor import LocalExecutor
from pytest_kbisect.bisection.experiment_runner import Ahead, ExperimentRunner
from pytest_kbisect.bisection.launcher import Selection, SessionLauncher
from pytest_kbisect.bisection.minimizing import ConfigSearch, again_with_whole
from pytest_kbisect.bisection.several import each
from pytest_kbisect.bisection.stages import Bisection, Plan
from pytest_kbisect.bisection.symbolizing import symbolized
from pytest_kbisect.crash.symbolize import Symbolized
from pytest_kbisect.enrichment import attempt
from pytest_kbisect.errors import ExitCode, KbisectError, UsageError
from pytest_kbisect.evidence.journal import Journal
from pytest_kbisect.kernel import compiler_choice, remedies, selftests, toolchain
from pytest_kbisect.reports import folder as reports
from pytest_kbisect.reports import result
from pytest_kbisect.reports.terminal import ANSWER, TerminalReporter
from pytest_kbisect.stash import WORKERS, session_of
from pytest_kbisect.strategies.release_tags import pick, releases
from pytest_kbisect.strategies.strategy import AnswerKind
from pytest_kbisect.symptoms.boot_failure import NAME as BOOT
from pytest_kbisect.symptoms.metric import NAME as METRIC
from pytest_kbisect.symptoms.symptom import CRASH_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_kbisect.bisection.config_wishes import ConfigWishes
    from pytest_kbisect.bisection.executor import Executor
    from pytest_kbisect.bisection.known_log import Known
    from pytest_kbisect.bisection.stages import Finding
    from pytest_kbisect.evidence.outcome import CommitResult
    from pytest_kbisect.kernel.compiler_choice import Choice
    from pytest_kbisect.kernel.tree import LinuxTree, Range

EXIT_CODES = {
    AnswerKind.CULPRIT: ExitCode.FOUND,
    AnswerKind.NOT_REPRODUCED: ExitCode.NOT_REPRODUCED,
    AnswerKind.BAD_AT_GOOD_END: ExitCode.BAD_AT_GOOD_END,
}
"""Every other kind of answer is inconclusive."""
MANY = 1000
"""Commits at a time that nobody asks for."""


def main(config: pytest.Config) -> int:
    """Answer to pytest_cmdline_main: the exit code of the bisection."""
    reporter = TerminalReporter(config.getoption("verbose", default=0))
    try:
        if not config.pluginmanager.has_plugin("terminal"):
            raise UsageError("bisection requires pytest's terminal plugin: remove -p no:terminal")
        with _terminated_like_interrupted():
            log = options.value(config, "replay")
            return replaying.main(config, log, reporter) if log else _bisect(config, reporter)
    except KeyboardInterrupt:
        reporter.end()
        reporter.line("kbisect: interrupted; the same command continues where it stopped", level=ANSWER)
        return ExitCode.INTERRUPTED
    except KbisectError as error:
        reporter.end()
        _complain(str(error))
        return error.exit_code
    except pytest.UsageError:  # pytest tells these itself
        raise
    except OSError as error:  # a full disk, a folder that cannot be written: the journal is whole
        _complain(f"{error.filename or 'the operating system says'}: {error.strerror}")
        return ExitCode.USAGE
    except Exception:  # noqa: BLE001 - a fault of ours, told as such
        traceback.print_exc()
        return ExitCode.INTERNAL


def _complain(words: str) -> None:
    with contextlib.suppress(OSError):  # whoever hears it or not, the exit code tells
        sys.stdout.flush()
        print(f"ERROR: {words}", file=sys.stderr, flush=True)


def _bisect(config: pytest.Config, reporter: TerminalReporter) -> int:
    from pytest_kbisect.kernel.tree import LinuxTree

    path = options.value(config, "kernel")
    if path is None:
        raise UsageError("no kernel to bisect: give --kbisect-kernel DIR, a git tree of Linux")
    for option in options.OPTIONS:
        options.value(config, option.name)
    wishes = config_wishes.wishes_of(config)
    registry.strategy(config)
    executor = registry.executor(config)
    cache = options.cache_folder(config)
    tree = LinuxTree(path, cache)
    asks = options.value(config, "ask")
    if asks and options.value(config, "each"):
        raise UsageError(
            "--kbisect-each and --kbisect-ask exclude each other: a person is one test, remove one of them"
        )
    asking.check(config, asks=asks)
    session_of(config).check_host(guests=not asks or options.value(config, "shell"))
    if asks:
        with asking.terminal(config) as read:
            asker = asking.launcher(config, tree, reporter, read)
            return _search(config, tree, asker, reporter, LocalExecutor(), wishes)
    arguments = [str(argument) for argument in config.invocation_params.args]
    if options.value(config, "prebuilt"):  # sessions need not look for the packages again
        arguments.append(f"--kbisect-kernel={path}")
    launcher = SessionLauncher(
        arguments,
        config.invocation_params.dir,
        cache=cache,
        executor=executor,
    )
    return _search(config, tree, launcher, reporter, executor, wishes)


def _search(
    config: pytest.Config,
    tree: LinuxTree,
    launcher: SessionLauncher | asking.AskLauncher,
    reporter: TerminalReporter,
    executor: Executor,
    wishes: ConfigWishes,
) -> int:
    """The bisection, with what tests its commits, and where."""
    with launcher.selecting() as selected:  # which takes its time; so does the log of the range
        ends = tree.parse_range(options.value(config, "range"))
        if options.value(config, "fix") and not ends.good:
            raise UsageError("--kbisect-fix needs both ends: A..B, A crashes and B does not")
        selection = selected()
    _check_selection(config, selection)
    controls.check_metric(config, selection)
    controls.check(config, tree, ends)
    several = options.value(config, "each")
    known_of_each = controls.known_of_each(config, tree, ends, selection) if several else {}
    known = () if several else controls.known(config, tree, ends)
    plan = _plan(config, selection, ends, known=known)
    compiler = launcher.compiler = _compiler(config, selection, tree, ends)
    launcher.selftests = ends.bad
    for name in selection.selftests:
        tools = toolchain.find(options.architecture(config), compiler.compiler)
        selftests.build(tree, ends.bad, name, tools, options.cache_folder(config) / "selftests")
    folder = launcher.folder = workplace.folder_of(config, selection, ends)
    with workplace.held(folder), contextlib.closing(executor):
        journal = Journal(folder / layout.JOURNAL, workplace.subject_of(config, selection, plan, compiler))
        executor.open(workplace.workload_of(config, selection, tree, ends, journal, reporter.note))
        plan = _at_once(plan, config, executor)
        reporter.open(folder / "bisect.log")
        reporter.line(f"results in {folder}", log=False)
        reporter.lines(f"# {words}" for words in compiler.words)
        for note in selection.notes:
            reporter.note(note)
        for change in workplace.guests_otherwise(config, journal):
            reporter.line(f"note: {change}", log=False)
        if chosen := config.stash.get(WORKERS, None):
            reporter.line(f"guests: {chosen.count} at a time, {chosen.why}", log=False)
        if plan.at_once > 1:
            reporter.line(f"commits: {plan.at_once} at a time, {plan.width} guests each", log=False)
        conclude = partial(_conclude, config, tree, compiler, executor)
        here = executor.capacity is None
        share = _share(config, plan) if here else None
        if several and isinstance(launcher, SessionLauncher):
            if executor.compiler:
                workplace.note_compiler(journal, executor.compiler)
            return each.bisect(
                each.Work(
                    config=config,
                    selection=selection,
                    plan=plan,
                    tree=tree,
                    compiler=compiler,
                    launcher=launcher,
                    journal=journal,
                    reporter=reporter,
                    folder=folder,
                    share=share,
                    plans=lambda one, known: _plan(config, one, ends, known=known),
                    conclude=partial(_conclude_one, conclude),
                    observe=partial(_tested, config, reporter),
                    command=_command(config),
                    known=known_of_each,
                )
            )
        small = _settled(config, selection, plan, wishes, tree, launcher, journal, reporter, share=share)
        with _ahead(config, selection, plan, compiler, whole=small, here=here) as ahead:
            runner = ExperimentRunner(
                *(launcher, journal, reporter),
                per_run=selection.per_run,
                ahead=ahead,
                share=share,
                observe=partial(_tested, config, reporter),
                again=again_with_whole if small else lambda _, __: None,
            )
            if executor.compiler:
                workplace.note_compiler(journal, executor.compiler)
            finding = _found(plan, tree, runner, reporter)
        final = conclude(
            *(selection, finding, folder, reporter),
            final=conclusion.result_of(finding),
            whole=small,
            also=workplace.asked_junit(config),
        )
    reporter.line(f"results: {folder}", log=False, level=ANSWER)
    return _exit_code(finding, plan, final)


def _conclude_one(
    conclude: Callable[..., result.Result],
    selection: Selection,
    finding: Finding,
    folder: Path,
    reporter: TerminalReporter,
) -> tuple[result.Result, int]:
    """Store, print and report the answer of one of several bisections (`conclude`), and give its exit code.

    Its time is what it took part in; the sessions' own time is everybody's.
    """
    final = conclusion.result_of(finding)
    seconds = final.seconds | {"total": final.seconds["build"] + final.seconds["test"]}
    final = conclude(selection, finding, folder, reporter, final=replace(final, seconds=seconds))
    return final, _exit_code(finding, finding.plan, final, f"{folder.name}: ")


def _conclude(
    config: pytest.Config,
    tree: LinuxTree,
    compiler: Choice,
    executor: Executor,
    selection: Selection,
    finding: Finding,
    folder: Path,
    reporter: TerminalReporter,
    *,
    final: result.Result,
    whole: str = "",
    also: Path | None = None,
) -> result.Result:
    """Store the answer, print it, and write the reports.

    `whole` is the text of the configuration that was found, in place of the user's. `also` is another path
    for the JUnit XML.
    """
    final = replace(final, command=_command(config), **_guests(config, compiler))
    stored = _store(final, folder, reporter)  # what follows adds to the answer, and cannot take it away
    final = conclusion.looked_up(final, tree, reporter.note)
    reporter.lines(conclusion.last_words(finding, final, tree, reporter.note), level=ANSWER)
    final = conclusion.addressed(final, tree, reporter.note)
    reporter.lines(conclusion.people_words(final), level=ANSWER)
    final = replace(
        final, crash_report=_symbolized(config, selection, tree, final, compiler, whole, reporter)
    )
    reporter.lines(conclusion.crash_words(final), level=ANSWER)
    if _store(final, folder, reporter) or stored:
        if final.crash_commit:
            fetch = partial(executor.fetch_kernel, final.crash_commit, final.crash_signature)
            attempt("the kernel that crashed was not fetched", fetch, None, reporter.note)
        _report(config, folder, reporter, also)
    _finished(config, final, folder, reporter)
    return final


def _found(plan: Plan, tree: LinuxTree, runner: ExperimentRunner, reporter: TerminalReporter) -> Finding:
    """Go on from the journal; an answer that a person takes back is not in it any more."""
    while True:
        try:
            return Bisection(plan, tree, runner, reporter).run()
        except asking.UndoError:
            runner.journal.undo()
            reporter.restart()
            reporter.line("kbisect: the last answer is taken back", log=False, level=ANSWER)


def _plan(
    config: pytest.Config,
    selection: Selection,
    ends: Range,
    *,
    known: tuple[Known, ...],
) -> Plan:
    """What is wanted; how much of it at a time is not decided yet."""
    return Plan(
        ends=ends,
        fix=options.value(config, "fix"),
        strategy=registry.strategy(config),
        confidence=options.value(config, "confidence"),
        runs=_runs(config, selection),
        budget=options.value(config, "budget"),
        crash=frozenset(selection.crash),
        log=selection.log,
        symptoms=frozenset(selection.symptoms),
        known=known,
        trust=options.value(config, "known-trust"),
        paths=options.value(config, "paths"),
        first_parent=options.value(config, "first-parent"),
        into_merge=options.value(config, "into-merge"),
        at_leisure=options.value(config, "ask"),
    )


def _at_once(plan: Plan, config: pytest.Config, executor: Executor) -> Plan:
    """The plan with how many commits are tested at a time, and with how many guests each."""
    guests, most = _width(config), options.value(config, "at-once")

    def room() -> int:
        """Sessions that can run now: workers come and go."""
        return min(most or MANY, max(1, executor.capacity or 1)) if plan.strategy.probabilistic else 1

    if executor.capacity is not None:
        return replace(plan, width=guests, at_once=room(), room=room)
    at_once = most or parallel.commits_at_once(guests)
    if plan.at_leisure or not plan.strategy.probabilistic or _measures_time(config, plan):
        at_once = 1  # there is one person; git bisect's order, for one, has one commit next
    return replace(plan, width=max(1, guests // at_once), at_once=at_once)


def _measures_time(config: pytest.Config, plan: Plan) -> bool:
    """Whether a build beside the guests would disturb what they measure."""
    return METRIC in plan.symptoms and not options.value(config, "icount")


def _symbolized(
    config: pytest.Config,
    selection: Selection,
    tree: LinuxTree,
    final: result.Result,
    compiler: Choice,
    small: str,
    reporter: TerminalReporter,
) -> str:
    """The crash with files and lines, where they can be had."""
    if final.symptom not in {CRASH_NAME, BOOT}:
        return final.crash_report
    if not final.crash_report:
        return ""

    def symbols() -> Symbolized:
        return symbolized(
            final.crash_report,
            tree,
            final.crash_commit,
            options.kernel_request(config, selection.fragments[final.crash_configuration], whole=small),
            jobs=options.jobs(config),
            rules=compiler.rules(options.build_rules(config)),
            progress=lambda words: reporter.line(f"   {final.crash_commit[:12]}: {words}", log=False),
        )

    plain = Symbolized(final.crash_report, done=False)
    found = attempt("no source lines for the crash", symbols, plain, reporter.note)
    if found.note:
        reporter.note(f"no source lines for the crash: {found.note}")
    return found.report


def _width(config: pytest.Config) -> int:
    """How many guests run at a time in the sessions (-n)."""
    if options.value(config, "ask"):
        return 1
    workers = getattr(config.option, "numprocesses", None)
    if isinstance(workers, str):  # "auto": xdist has not come to it yet
        workers = config.hook.pytest_xdist_auto_num_workers(config=config)
    return workers if isinstance(workers, int) and workers > 0 else 1


def _share(config: pytest.Config, plan: Plan) -> Share | None:
    """What each session gets where several run at once."""
    if plan.at_once == 1:
        return None
    guests = plan.width if getattr(config.option, "numprocesses", None) else None
    return Share(options.jobs(config), guests, plan.at_once)


def _settled(
    config: pytest.Config,
    selection: Selection,
    plan: Plan,
    wishes: ConfigWishes,
    tree: LinuxTree,
    launcher: SessionLauncher | asking.AskLauncher,
    journal: Journal,
    reporter: TerminalReporter,
    *,
    share: Share | None,
) -> str:
    """Find the configuration to search with; its text, empty where it is the user's own."""
    requests = [options.kernel_request(config, fragments) for fragments in selection.fragments.values()]
    if not isinstance(launcher, SessionLauncher) or launcher.compiler is None or not requests:
        return ""
    search = ConfigSearch(
        *(plan, wishes, requests, launcher.compiler.rules(options.build_rules(config)), tree),
        ExperimentRunner(
            *(launcher, journal, reporter),
            per_run=selection.per_run,
            share=share,
            observe=partial(_tested, config, reporter),
        ),
        reporter,
        launcher.folder / "configurations.log",
    )
    settled = search.run()
    if settled.text:
        launcher.configuration = settled.text
        path = launcher.folder / layout.MINIMIZED
        atomic.write(path, f"# {settled.words}\n{settled.text}")
        reporter.line(f"configuration: {path}", log=False)
    return settled.text


@contextlib.contextmanager
def _ahead(
    config: pytest.Config,
    selection: Selection,
    plan: Plan,
    compiler: Choice,
    *,
    whole: str,
    here: bool,
) -> Iterator[Ahead | None]:
    """What builds while guests run, where they run `here` and leave processors for it.

    `whole` is the text of the configuration that was found, in place of the user's.
    """
    spare = parallel.processors() - plan.width
    alone = _measures_time(config, plan)
    if not here or spare < 1 or plan.at_once > 1 or not plan.strategy.probabilistic or alone:
        yield None
        return
    from pytest_kbisect.kernel.ahead import BuildAhead

    configs = [
        options.kernel_request(config, fragments, whole=whole) for fragments in selection.fragments.values()
    ]
    with BuildAhead(
        options.value(config, "kernel"),
        configs,
        cache=options.cache_folder(config),
        rules=compiler.rules(options.build_rules(config)),
    ) as builder:
        yield Ahead(builder, spare)


def _guests(config: pytest.Config, compiler: Choice) -> dict[str, Any]:
    """What guests and builds were, for those who boot one by hand."""
    named = ("memory", "cpus", "timeout")
    return {
        "full_build": options.value(config, "full-build"),
        "compiler": compiler.identity,
        "remedies": tuple(map(remedies.words, compiler.remedies)),
        "arch": options.architecture(config).name,
        "image": str(options.value(config, "image") or ""),
        "asked": options.value(config, "ask"),
        "patches": tuple(map(str, options.value(config, "patch"))),
        "cmdline": options.value(config, "cmdline"),
        "qemu": options.value(config, "qemu"),
        "icount": options.value(config, "icount"),
        "guest": {name: options.value(config, name) for name in named},
    }


def _command(config: pytest.Config) -> tuple[str, ...]:
    return (sys.executable, "-m", "pytest", *map(str, config.invocation_params.args))


def _exit_code(finding: Finding, plan: Plan, final: result.Result, of: str = "") -> int:
    kind = finding.answer.kind
    code = EXIT_CODES.get(kind, ExitCode.INCONCLUSIVE)
    if kind not in {AnswerKind.CULPRIT, AnswerKind.CANDIDATES}:
        _complain(f"{of}{final.reason}")
    if kind is AnswerKind.CULPRIT and "unreached" in final.flags and not plan.fix:
        _complain(f"{of}no run of the culprit's parent came to the code of the crash: the bug may be older")
        return ExitCode.INCONCLUSIVE
    if kind is AnswerKind.CULPRIT and final.confidence < plan.confidence:
        _complain(
            f"{of}the answer is {final.confidence:.0%} sure, {plan.confidence:.0%} were asked for (--kbisect-confidence)"
        )
        return ExitCode.INCONCLUSIVE
    return code


def _store(final: result.Result, folder: Path, reporter: TerminalReporter) -> bool:
    """Write the answer for programs; whether that was done."""

    def write() -> bool:
        result.write(final, folder / layout.RESULT)
        return True

    return attempt(f"{layout.RESULT} was not written", write, False, reporter.note)


def _tested(config: pytest.Config, reporter: TerminalReporter, tested: CommitResult) -> None:
    """Call the observers of tested commits."""
    call = partial(config.hook.pytest_kbisect_commit_tested, config=config, tested=tested)
    attempt("an observer (pytest_kbisect_commit_tested) failed", call, None, reporter.note)


def _finished(config: pytest.Config, answer: result.Result, folder: Path, reporter: TerminalReporter) -> None:
    """Call the observers of the end."""
    call = partial(config.hook.pytest_kbisect_finished, config=config, result=answer, folder=folder)
    attempt("an observer (pytest_kbisect_finished) failed", call, None, reporter.note)


def _report(config: pytest.Config, folder: Path, reporter: TerminalReporter, also: Path | None) -> None:
    """Everything else that is left behind, made of the answer as it was stored."""
    cache = options.cache_folder(config)
    none: list[str] = []
    known = arch.registered(config.pluginmanager)
    write = partial(reports.write, folder, cache, reproducers.kinds(config), known, also=also)
    for trouble in attempt("no reports were written", write, none, reporter.note):
        reporter.note(trouble)


def _runs(config: pytest.Config, selection: Selection) -> int:
    """Runs of a commit: the option's, else what a reproducer names, else the ini file's or the default."""
    if selection.runs and not options.given(config, "runs"):
        return selection.runs
    runs: int = options.value(config, "runs")
    return runs


# -- what must be right ----------------------------------------------------------------------------


def _compiler(config: pytest.Config, selection: Selection, tree: LinuxTree, ends: Range) -> Choice:
    """One compiler, and one set of remedies, for all commits that a bisection may build."""
    if options.value(config, "prebuilt"):
        return compiler_choice.NOTHING
    named, with_remedies = options.compiler(config), not options.value(config, "no-remedies")
    names = options.value(config, "range").partition("..")
    last = names[2] or "HEAD"
    if ends.good:
        both = ((names[0], ends.named_good or ends.good), (last, ends.bad))
        what = compiler_choice.Ends(both, (ends.good, ends.bad))
    else:  # a walk may come to any release; the history of all of them would take minutes to read
        tags = tree.tags_before(ends.bad)
        known = releases(tags)
        walked = {*pick(known), *(release for release in known if not release.is_stable)}
        what = compiler_choice.Ends(
            ((last, ends.bad),), also=tuple(tags[release.tag] for release in sorted(walked))
        )
    requests = [options.kernel_request(config, fragments) for fragments in selection.fragments.values()]
    return compiler_choice.choose(tree, what, requests, named, with_remedies=with_remedies)


def _check_selection(config: pytest.Config, selection: Selection) -> None:
    """Stop before anything is built if memory is short, or the configuration unreadable or contradictory."""
    parallel.require_memory(max(selection.memory, 0 if selection.memory else options.value(config, "memory")))
    for fragments in selection.fragments.values():
        options.kernel_request(config, fragments)


@contextlib.contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM and SIGHUP end a bisection as Ctrl-C does: children gone, journal whole."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    # Under nohup SIGHUP is ignored, and stays so.
    wanted = [sig for sig in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(sig) is not signal.SIG_IGN]
    before = {sig: signal.signal(sig, interrupt) for sig in wanted}
    try:
        yield
    finally:
        for sig, handler in before.items():
            signal.signal(sig, handler)
