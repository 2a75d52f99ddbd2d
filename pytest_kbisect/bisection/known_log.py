"""Verdicts that the user has already (`--kbisect-known`), read from a file and checked against the range.

A file is the output of `git bisect log`, the journal of another bisection, or has lines of its own:

    good v6.7-rc1
    bad 9c8d7e6f5a4b 3 runs
    skip 1a2b3c4d5e6f           # does not boot
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from pytest_kbisect.bisection.replay import Log, Trial, read_log, second_opinion
from pytest_kbisect.errors import UsageError
from pytest_kbisect.evidence.journal import experiments, records_of, require_single
from pytest_kbisect.evidence.known_verdict import KnownVerdict
from pytest_kbisect.evidence.outcome import CommitResult, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pytest_kbisect.history.candidates import History
    from pytest_kbisect.kernel.tree import LinuxTree, Range

_LARGEST = 256 << 20
"""Bytes of a file."""
_LINE = re.compile(r"(good|bad|skip)\s+(\S+)(?:\s+(\d+)\s+runs?)?\s*(?:#.*)?")
_OWN_WORDS = re.compile(r"^#? ?git bisect (?:new|old)\b|--term-", re.MULTILINE)
_OPPOSITE = {Verdict.GOOD: Verdict.BAD, Verdict.BAD: Verdict.GOOD, Verdict.SKIP: Verdict.SKIP}


@dataclass(frozen=True, slots=True)
class Known:
    """A verdict of the user's: of a commit (full hash), after so many runs if that is known.

    `where` is the file and what in it, for messages.
    """

    commit: str
    verdict: Verdict
    runs: int | None
    where: str

    def __str__(self) -> str:
        runs = f", {self.runs} runs" if self.runs is not None else ""
        return f"{self.commit[:12]} is {self.verdict.value} ({self.where}{runs})"


def read(paths: Iterable[Path], tree: LinuxTree, *, fix: bool) -> tuple[Known, ...]:
    """The verdicts in some files. Good means without the bug, also where its fix is looked for.

    Raises UsageError for what cannot be read, for a commit that is not in the tree, and for one that is
    called both good and bad.
    """
    found: dict[str, Known] = {}
    for path in paths:
        for one in _read(path, tree, fix=fix):
            before = found.setdefault(one.commit, one)
            if before.verdict is not one.verdict and Verdict.SKIP not in {before.verdict, one.verdict}:
                raise UsageError(
                    f"--kbisect-known: contradictory verdicts: {before}, and {one}: remove the wrong one"
                )
            if before.verdict is Verdict.SKIP or (one.runs or 0) > (before.runs or 0):
                found[one.commit] = one
    return tuple(found.values())


def _read(path: Path, tree: LinuxTree, *, fix: bool) -> Iterator[Known]:
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"cannot read the verdicts in {path}: {error.strerror}: name another file") from None
    if len(raw) > _LARGEST:
        raise UsageError(f"{path} is larger than {_LARGEST >> 20} MiB: name a log of a bisection")
    if raw.startswith(b'{"'):
        yield from _of_journal(raw, path)
        return
    text = raw.decode("utf-8", "replace")
    found = list(_of_git(text, path, fix=fix) if "git bisect" in text else _of_lines(text, path, tree))
    if not found:
        raise UsageError(
            f"{path} holds no verdict: give a git bisect log, a journal.jsonl, or lines such as: good COMMIT 3 runs"
        )
    for one in found:
        yield one if len(one.commit) == _FULL_HASH else _resolved(one, tree)


_FULL_HASH = 40


def _resolved(known: Known, tree: LinuxTree) -> Known:
    try:
        return Known(tree.resolve(known.commit), known.verdict, known.runs, known.where)
    except UsageError as error:
        raise UsageError(f"{known.where}: {error}; name a commit of this tree") from None


def _of_lines(text: str, path: Path, tree: LinuxTree) -> Iterator[Known]:
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip()
        if not words or words.startswith("#"):
            continue
        said = _LINE.fullmatch(words)
        if said is None:
            raise UsageError(
                f"{path}:{number}: {words[:60]!r} is no verdict: write good, bad or skip, COMMIT, 3 runs"
            )
        runs = int(said[3]) if said[3] else None
        yield _resolved(Known(said[2], Verdict(said[1]), runs, f"{path.name}:{number}"), tree)


def _of_git(text: str, path: Path, *, fix: bool) -> Iterator[Known]:
    """The marks of a `git bisect log`. Who looks for a fix with words of his own calls what is fixed new."""
    turned = fix and bool(_OWN_WORDS.search(text))
    for verdict, commit in read_log(text).marks:
        yield Known(commit, _OPPOSITE[verdict] if turned else verdict, None, path.name)


def _of_journal(raw: bytes, path: Path) -> Iterator[Known]:
    """What the runs in a journal of ours say of each commit, with the reference of its own first commit."""
    records = records_of(raw, path)
    if not records or records[0].get("kind") != "subject":
        raise UsageError(
            f"{path} is no journal: its first line does not say what was bisected: give a journal.jsonl"
        )
    require_single(records[0], path)
    trials: dict[str, Trial] = {}
    for tested in experiments(records, path):
        before = trials.get(tested.commit)
        runs = (*(before.tested.runs if before else ()), *tested.runs)
        trials[tested.commit] = Trial(
            CommitResult(tested.commit, runs, tested.signature, build_error=tested.build_error)
        )
    good, bad = records[0].get("range", ("", ""))
    nothing: dict[str, Any] = {}
    search = next((one for one in reversed(records) if one.get("kind") == "search"), nothing)
    log = Log(
        list(trials.values()),
        fix=bool(records[0].get("fix")),
        expected=frozenset(records[0].get("crash", ())),
        ends=(search.get("good", good), bad),
    )
    for opinion in second_opinion(log):
        made = trials[opinion.commit].tested
        if opinion.ours is Verdict.SKIP and not made.build_error:
            continue  # its kernel was tested at another commit, or its runs say nothing
        spoke = sum(run.outcome in {Outcome.OK, Outcome.CRASHED} for run in made.runs)
        yield Known(opinion.commit, opinion.ours, spoke, path.name)


# -- in a journal --------------------------------------------------------------------------------------------

NOTE = "known"
"""The journal's kind of note on them."""


def to_note(known: Iterable[Known], trust: float) -> dict[str, Any]:
    """For the journal; empty lists where there are none."""
    listed = [[one.commit, one.verdict.value, one.runs, one.where] for one in known]
    return {"verdicts": listed, "trust": trust if listed else []}


def from_note(note: Mapping[str, Any] | None, history: History) -> tuple[KnownVerdict, ...]:
    """What `to_note` wrote, for a strategy."""
    if not note or not note["verdicts"]:
        return ()
    known = [Known(commit, Verdict(word), runs, where) for commit, word, runs, where in note["verdicts"]]
    return verdicts(known, history, float(note["trust"]))


# -- against the range -------------------------------------------------------------------------------------


def check_ends(known: Sequence[Known], ends: Range, *, fix: bool) -> None:
    """Raise UsageError where a verdict contradicts what the range says of its own ends."""
    says = {ends.good: Verdict.BAD if fix else Verdict.GOOD, ends.bad: Verdict.GOOD if fix else Verdict.BAD}
    for one in known:
        wanted = says.get(one.commit)
        if wanted is not None and one.verdict not in {wanted, Verdict.SKIP}:
            raise UsageError(
                f"--kbisect-known: contradictory verdicts: {one}, but --kbisect-range says it is {wanted.value}: "
                "remove the wrong one, or choose other ends"
            )


def verdicts(known: Iterable[Known], history: History, trust: float) -> tuple[KnownVerdict, ...]:
    """Those of commits of the range, for a strategy; its bad end is tested in any case."""
    return tuple(
        KnownVerdict(at, one.verdict, one.runs, trust)
        for one in known
        if one.verdict is not Verdict.SKIP
        and (at := history.position.get(one.commit)) is not None
        and at != history.bad_end
    )


def skipped(known: Iterable[Known], history: History) -> Iterator[tuple[int, CommitResult]]:
    """Commits of the range that cannot be tested, as the user says, and what stands for a test of them."""
    for one in known:
        at = history.position.get(one.commit)
        if one.verdict is Verdict.SKIP and at is not None and at != history.bad_end:
            yield at, CommitResult(one.commit, build_error=f"skipped: {one.where} says so")


def words(known: Sequence[Known], history: History, *, fix: bool) -> Iterator[str]:
    """What to say of them before the search: how many there are, and which cannot all be right."""
    of_range = [one for one in known if one.commit in history.position]
    counts = Counter(one.verdict.value for one in of_range)
    inside = ", ".join(f"{counts[word]} {word}" for word in ("good", "bad", "skip") if counts[word]) or "none"
    outside = len(known) - len(of_range)
    yield f"known verdicts: {inside}" + (
        f"; {outside} of commits outside the range are left out" if outside else ""
    )
    of = {word: [one for one in of_range if one.verdict is word] for word in (Verdict.GOOD, Verdict.BAD)}
    first, then = (Verdict.GOOD, Verdict.BAD) if fix else (Verdict.BAD, Verdict.GOOD)
    for older, newer in product(of[first], of[then]):
        if history.ancestry.ancestors(history.position[newer.commit])[history.position[older.commit]]:
            yield f"contradictory verdicts: {older}, and its descendant {newer}: one is wrong, runs will decide"


def facts(
    known: Iterable[Known],
    trust: float,
    history: History,
    affected: Callable[[int], bool | None],
    *,
    fix: bool,
) -> tuple[dict[str, Any], ...]:
    """What became of each, for the result. `affected`: whether a commit contains the answer's commit."""
    return tuple(
        {
            "commit": one.commit,
            "title": history.title(history.position[one.commit]),
            "verdict": one.verdict.value,
            "runs": one.runs,
            "where": one.where,
            "trust": trust,
            "outvoted": _is_outvoted(one, affected(history.position[one.commit]), fix=fix),
        }
        for one in known
        if one.commit in history.position
    )


def _is_outvoted(known: Known, affected: bool | None, *, fix: bool) -> bool | None:
    """Whether the answer says otherwise; None where it does not say."""
    if affected is None or known.verdict is Verdict.SKIP:
        return None
    return (affected != fix) != (known.verdict is Verdict.BAD)
