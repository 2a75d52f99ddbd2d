"""Whatever the graph and whatever is seen: an answer, no exception, never more than there is to test."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from worlds import BOOT, CRASH, INFRA, OK, OTHER, drive, session

from pytest_kbisect.evidence.by_kernel import Evidence, Prices
from pytest_kbisect.evidence.outcome import CommitResult as Found
from pytest_kbisect.history.candidates import GOOD_END, History
from pytest_kbisect.strategies.bayes import Bayes
from pytest_kbisect.strategies.bayes.confirm import Confirmation
from pytest_kbisect.strategies.classic import Classic
from pytest_kbisect.strategies.strategy import AnswerKind

PRICES = Prices(build=300, run=60, width=10)
NAMES = [f"{letter}{number}" for number in range(3) for letter in "abcdefgh"]


@st.composite
def logs(draw):
    """What git might print: any commits with any parents, among them cycles, octopuses, roots, unknowns."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=20, unique=True))
    parents = [draw(st.lists(st.sampled_from([*names, "x", "y"]), max_size=4)) for _ in names]
    return "".join(
        f"{name}\0{' '.join(row)}\x0010\0title\n" for name, row in zip(names, parents, strict=True)
    )


def chaos(seed):
    """Kernels that follow no rule: each commit has tendencies of its own."""

    def kernel(i, runs):
        of_commit = random.Random(f"{seed} {i}")
        if of_commit.random() < 0.2:
            return Found("", build_error="error: foo.c", build_seconds=300)
        weights = [of_commit.random() ** 3 for _ in range(5)]
        made = random.Random(f"{seed} {i} {runs}").choices([OK, CRASH, BOOT, OTHER, INFRA], weights, k=runs)
        return session(made, signature=f"s{i}" if of_commit.random() < 0.8 else "shared")

    return kernel


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(logs(), st.integers(0, 10**6), st.booleans())
@example(
    text="a0\0\x0010\0title\nb0\0\x0010\0title\n", seed=1638, fix=True
)  # of twenty runs one says anything
@example(  # a kernel that was skipped is that of a bad commit
    text="".join(
        f"{name}\0{parents}\x0010\0title\n"
        for name, parents in {
            "a0": "",
            "b0": "h0 a1",
            "c0": "",
            "d0": "b0",
            "e0": "",
            "f0": "",
            "g0": "d0",
        }.items()
    )
    + "h0\0\x0010\0title\na1\0\x0010\0title\n",
    seed=895594,
    fix=False,
)
@example(text="a0\0\x0010\0title\n", seed=587996, fix=False)  # sums to more than 1, rounded
@example(text="a0\0\x0010\0title\nb0\0\x0010\0title\nc0\0b0\x0010\0title\n", seed=1638, fix=True)  # of ten
def test_any_graph_and_any_evidence_get_an_answer(text, seed, fix):
    history = History.from_log(text)
    reported = GOOD_END if fix else None
    for strategy in (Bayes(history, prices=PRICES, fix=fix), Classic(history, fix=fix)):
        answer, asked = drive(strategy, Evidence(history, reported=reported), chaos(seed))
        assert answer.kind in AnswerKind
        assert 0 <= answer.confidence <= 1
        assert all(0 <= i < len(history) for i, _ in answer.candidates)
        assert sum(p for _, p in answer.candidates) <= 1 + 1e-9
        assert {experiment.commit for experiment in asked} <= {GOOD_END, *range(len(history))}


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(logs(), st.integers(0, 10**6), st.integers(2, 4), st.booleans())
def test_several_at_once_whoever_ends_first(text, seed, count, fix):
    history = History.from_log(text)
    kernel, strategy = chaos(seed), Bayes(history, prices=PRICES, fix=fix)
    evidence, running, chance = Evidence(history, reported=GOOD_END if fix else None), {}, random.Random(seed)
    for _ in range(300):
        wanted = strategy.batch(evidence, count, tuple(running))
        if not isinstance(wanted, tuple):
            assert wanted.kind in AnswerKind
            return
        assert 1 <= len(wanted) <= count
        running = {e.commit: running.get(e.commit, e.runs) for e in wanted}
        assert len(running) == len(wanted)
        commit = chance.choice(sorted(running))
        evidence.add(commit, kernel(commit, running.pop(commit)))
    raise AssertionError("no answer after 300 experiments")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(logs(), st.integers(0, 10**6), st.integers(0, 8), st.booleans())
@example(
    text="".join(f"{name}\0\x0010\0title\n" for name in NAMES[:9]), seed=4, steps=4, fix=True
)  # one kernel, its runs counted apart
def test_stopped_anywhere_there_is_an_answer(text, seed, steps, fix):
    """As where a budget ends: what is known is told, and the same is told of the same evidence."""
    history = History.from_log(text)
    kernel, strategy = chaos(seed), Bayes(history, prices=PRICES, fix=fix)
    evidence = Evidence(history, reported=GOOD_END if fix else None)
    for _ in range(steps):
        decision = strategy.decide(evidence)
        if decision == strategy.conclude(evidence):
            break
        if hasattr(decision, "runs"):
            strategy.foresee(evidence, decision)
            evidence.add(decision.commit, kernel(decision.commit, decision.runs))
    known = strategy.conclude(evidence)
    assert known.kind in AnswerKind
    assert known == Bayes(history, prices=PRICES, fix=fix).conclude(evidence)


def test_all_but_the_ends_of_a_graph_untestable():
    history = History(("a", "b", "c", "d"), ((GOOD_END,), (GOOD_END,), (0, 1), (2,)))

    def kernel(i, runs):
        if i in {0, 1, 2}:
            return Found("", build_error="x", build_seconds=300)
        return session([CRASH if i == 3 else OK] * runs, signature=f"s{i}")

    answer, _ = drive(Bayes(history, prices=PRICES), Evidence(history), kernel)
    assert answer.kind is AnswerKind.CANDIDATES
    assert {i for i, _ in answer.candidates} == {0, 1, 2, 3}


def test_equal_signatures_are_believed_until_runs_say_otherwise():
    """What decides may not be in the signature: a fault of the build, or of the signature itself."""
    evidence = Evidence(History.line([f"c{i}" for i in range(10)]))
    evidence.add(9, session([CRASH] * 3))
    evidence.add(5, session([CRASH] * 3, signature="one"))
    evidence.add(4, session((), signature="one"))
    assert evidence.counts(4).matching == 3
    assert evidence.known_kernels >= {"one"}
    evidence.add(4, session([OK] * 3, signature="one"))
    assert (evidence.counts(4).matching, evidence.counts(4).ok) == (3, 3)  # flaky, it may be
    evidence.add(4, session([OK] * 27, signature="one"))
    assert (evidence.counts(4).matching, evidence.counts(4).ok) == (0, 30)
    assert (evidence.counts(5).matching, evidence.counts(5).ok) == (3, 0)
    assert evidence.signature(4) == evidence.signature(5) == "one"
    assert "one" not in evidence.known_kernels
    evidence.add(3, session((), signature="one"))
    assert evidence.counts(3).total == 0


@pytest.mark.parametrize(("crashes", "apart"), [(10, True), (5, False)])
def test_a_crash_that_never_fails_to_come_tells_equal_signatures_apart_sooner(crashes, apart):
    evidence = Evidence(History.line([f"c{i}" for i in range(10)]))
    evidence.add(9, session([CRASH] * crashes + [OK] * (10 - crashes)))
    evidence.add(5, session([CRASH] * 4, signature="one"))
    evidence.add(4, session([OK] * 4, signature="one"))
    assert (evidence.counts(4).matching == 0) == apart


def test_the_last_word_is_by_runs_at_the_commits_themselves():
    """The culprit and its parent were known by the kernels of others; one of these signatures lies."""

    def kernel(i, runs):
        signature = "lies" if i in {1, 2, 3} else f"s{i}"
        if signature in evidence.known_kernels and not own:
            return session((), signature)
        return session([CRASH if i >= 3 else OK] * runs, signature)

    history = History.line([f"c{i}" for i in range(10)])
    evidence, own = Evidence(history), False
    strategy = Bayes(history, prices=PRICES)
    answer, _ = drive(strategy, evidence, kernel)
    assert answer.culprit in {1, 4}  # what follows from equal signatures
    own = True
    for _ in range(50):
        doubt = Confirmation(evidence, answer.culprit, confidence=0.95).decide()
        if doubt is None:
            break
        assert doubt.own
        evidence.add(doubt.commit, kernel(doubt.commit, doubt.runs))
        answer, _ = drive(strategy, evidence, kernel)
    assert answer.culprit == 3
