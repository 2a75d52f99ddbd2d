"""The Bayesian strategy from outside: how often it is right, its cost, what it says when it cannot tell."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from graphs import random_parents
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import BOOT, CRASH, INFRA, OK, OTHER, drive, session, world

from pytest_kbisect.evidence.by_kernel import Evidence, Prices
from pytest_kbisect.evidence.outcome import CommitResult as Found
from pytest_kbisect.evidence.outcome import Outcome, Run
from pytest_kbisect.history.candidates import GOOD_END, History
from pytest_kbisect.strategies.bayes import FIRST_RUNS, Bayes, bayesian
from pytest_kbisect.strategies.classic import Classic
from pytest_kbisect.strategies.strategy import Answer, AnswerKind

HISTORY = History.line([f"c{i:03}" for i in range(200)])
PRICES = Prices(build=300, run=60, width=10)


def graph(parents):
    rows = tuple(row or (GOOD_END,) for row in parents)
    return History(tuple(f"{i:040x}" for i in range(len(rows))), rows)


def noisy(history, culprit, rng, p=1.0, q=0.0, broken=(), boot=0.0):
    def kernel(i, runs):
        if i in broken:
            return Found("", build_error="x", build_seconds=300)
        chance = p if i >= 0 and history.ancestry.ancestors(i)[culprit] else q
        made = [BOOT if rng.random() < boot else CRASH if rng.random() < chance else OK for _ in range(runs)]
        return session(made, signature=f"s{i}")

    return kernel


@pytest.mark.parametrize("culprit", [0, 1, 93, 198, 199])
def test_certain_bug_takes_little_more_than_halving(culprit):
    answer, asked = drive(Bayes(HISTORY, prices=PRICES), Evidence(HISTORY), world(culprit))
    assert (answer.kind, answer.culprit) == (AnswerKind.CULPRIT, culprit)
    assert answer.confidence >= 0.95
    assert len({experiment.commit for experiment in asked}) <= 11


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_flaky_bug_on_any_graph(seed):
    rng = random.Random(seed)
    history = graph(random_parents(rng, rng.randrange(2, 80)))
    suspects = np.flatnonzero(history.suspects).tolist()
    culprit = rng.choice(suspects)
    kernel = noisy(history, culprit, rng, p=rng.choice([1.0, 0.6]), boot=0.1)
    answer, _ = drive(Bayes(history, prices=PRICES), Evidence(history), kernel)
    assert answer.kind is AnswerKind.CULPRIT
    assert history.ancestry.ancestors(history.bad_end)[answer.culprit]


def test_right_as_often_as_it_says():
    """Flaky bugs with noise: a handful of wrong answers at most (95 % asked, 98 % measured)."""
    right = 0
    for seed in range(25):
        rng = random.Random(seed)
        culprit = rng.randrange(200)
        answer, _ = drive(
            Bayes(HISTORY, prices=PRICES), Evidence(HISTORY), noisy(HISTORY, culprit, rng, p=0.3, q=0.01)
        )
        right += answer.culprit == culprit
    assert right >= 22


def test_the_more_a_wrong_answer_costs_the_longer_a_rare_crash_is_looked_at(monkeypatch):
    """Where a wave tells next to nothing, being surer than was asked for is dear."""

    def waves(cost: float) -> int:
        monkeypatch.setattr(bayesian, "WRONG", cost)
        spent = 0
        for seed in range(4):
            kernel = noisy(HISTORY, 120, random.Random(seed), p=0.08, q=0.005)
            _, asked = drive(Bayes(HISTORY, prices=PRICES), Evidence(HISTORY), kernel)
            spent += len(asked)
        return spent

    assert waves(0) < waves(1000)


def test_what_is_nearly_certain_is_not_run_again(monkeypatch):
    """Whatever a wrong answer costs: the surer the answer is to be, the longer it is looked at."""
    monkeypatch.setattr(bayesian, "WRONG", 10**6)

    def doubt(confidence: float) -> float:
        kernel = noisy(HISTORY, 120, random.Random(5), p=0.5)
        bayes = Bayes(HISTORY, prices=PRICES, confidence=confidence)
        answer, _ = drive(bayes, Evidence(HISTORY), kernel)
        return 1 - answer.confidence

    assert doubt(0.9) > 0.003 > doubt(0.99)


def test_runs_that_can_be_made_later_wait():
    """The bug shows in two of five runs: ten that end ok leave a doubt that may not matter in the end."""

    def slow(crashes, oks):
        runs = (replace(CRASH, seconds=60),) * crashes + (replace(OK, seconds=60),) * oks
        return Found("", runs, f"of {len(tried)}", build_seconds=300, test_seconds=60)

    tried = {199}
    evidence = Evidence(HISTORY)
    evidence.add(199, slow(4, 6))
    for _ in range(3):
        experiment = Bayes(HISTORY, prices=PRICES).decide(evidence)
        tried.add(experiment.commit)
        evidence.add(experiment.commit, slow(0, experiment.runs))
    assert len(tried) == 4


@pytest.mark.parametrize("culprit", [2, 5])
def test_a_kernel_is_not_run_again_for_each_commit_that_gives_it(culprit):
    """From the good end to the culprit the signature is the same: no run can tell what crashes then."""
    history = History.line([f"c{i:02}" for i in range(12)])
    known = set()

    def kernel(i, runs):
        signature = "the same" if i <= culprit else f"s{i}"
        made = [replace(CRASH, seconds=60)] * 10 if i >= culprit else [replace(OK, seconds=60)] * runs
        made = made if i > culprit or signature not in known else []
        known.add(signature)
        return Found("", tuple(made), signature, build_seconds=300, test_seconds=60)

    _, asked = drive(Bayes(history, prices=PRICES), Evidence(history), kernel)
    assert len(asked) <= 12


def test_stretch_that_does_not_build_is_left_by_jumping():
    answer, asked = drive(Bayes(HISTORY, prices=PRICES), Evidence(HISTORY), world(170, broken=range(90, 150)))
    assert answer.culprit == 170
    assert sum(90 <= experiment.commit < 150 for experiment in asked) <= 5


def test_culprit_among_commits_that_do_not_build():
    answer, asked = drive(Bayes(HISTORY, prices=PRICES), Evidence(HISTORY), world(17, broken=(15, 16, 17)))
    assert answer.kind is AnswerKind.CANDIDATES
    assert {i for i, _ in answer.candidates} == {15, 16, 17, 18}
    assert answer.confidence >= 0.95
    assert len({e.commit for e in asked} & {15, 16, 17}) == len(
        [e for e in asked if e.commit in {15, 16, 17}]
    )


def test_kernel_that_never_boots_is_no_evidence_and_is_given_up():
    answer, asked = drive(Bayes(HISTORY, prices=PRICES), Evidence(HISTORY), world(120, dead=range(95, 105)))
    assert answer.culprit == 120
    assert sum(95 <= experiment.commit < 105 for experiment in asked) <= 3


def test_a_test_machine_that_fails_ends_the_search():
    def kernel(i, runs):
        if i == 199:
            return session([CRASH] * runs, signature=f"s{i}")
        return session([INFRA] * (runs // 2 + 1) + [OK] * (runs - runs // 2 - 1), signature=f"s{i}")

    answer, asked = drive(Bayes(HISTORY, prices=PRICES), Evidence(HISTORY), kernel)
    assert answer.kind is AnswerKind.CANDIDATES
    assert "test machine" in answer.reason
    assert len(answer.candidates) > 150
    assert len({experiment.commit for experiment in asked}) <= 3


def test_bug_older_than_the_range():
    answer, asked = drive(Bayes(HISTORY, prices=PRICES), Evidence(HISTORY), world(GOOD_END))
    assert answer.kind is AnswerKind.BAD_AT_GOOD_END
    assert any(experiment.commit == GOOD_END for experiment in asked)


def test_first_commit_is_blamed_only_once_the_good_end_was_tested():
    _, asked = drive(Bayes(HISTORY, prices=PRICES), Evidence(HISTORY), world(0))
    assert any(experiment.commit == GOOD_END for experiment in asked)


def test_not_reproduced():
    answer, asked = drive(Bayes(HISTORY, prices=PRICES), Evidence(HISTORY), world(999))
    assert answer.kind is AnswerKind.NOT_REPRODUCED
    assert sum(experiment.runs for experiment in asked) == FIRST_RUNS


@pytest.mark.parametrize("search", [Bayes(HISTORY, prices=PRICES), Classic(HISTORY)])
def test_bad_end_whose_runs_fail_on_the_host_says_why(search):
    refused = replace(INFRA, title="QEMU did not start: 999 processors are too many\nqemu.log")
    answer, _ = drive(search, Evidence(HISTORY), lambda _, runs: session([refused] * runs, signature="s"))
    assert answer.kind is AnswerKind.UNTESTABLE
    assert answer.reason.endswith(" made, most often: QEMU did not start: 999 processors are too many)")


@pytest.mark.parametrize("kernel", [world(3, broken=(199,)), world(3, dead=(199,))])
def test_bad_end_that_cannot_be_tested(kernel):
    answer, asked = drive(Bayes(HISTORY, prices=PRICES), Evidence(HISTORY), kernel)
    assert answer.kind is AnswerKind.UNTESTABLE
    assert len(asked) <= 2


@pytest.mark.parametrize("size", [0, 1, 2])
def test_tiny_ranges(size):
    history = History.line([f"c{i}" for i in range(size)])
    strategy = Bayes(history, prices=PRICES)
    if not size:
        assert strategy.decide(Evidence(history)).kind is AnswerKind.UNTESTABLE
        return
    answer, _ = drive(strategy, Evidence(history), world(size - 1))
    assert (answer.kind, answer.culprit) == (AnswerKind.CULPRIT, size - 1)


def test_everything_but_the_end_untestable():
    answer, _ = drive(Bayes(HISTORY, prices=PRICES), Evidence(HISTORY), world(50, broken=range(-1, 199)))
    assert answer.kind is AnswerKind.CANDIDATES
    assert len(answer.candidates) >= 180


def test_contradictory_evidence_gets_an_answer():
    """Crashes everywhere below the middle and nowhere above, but at the end."""

    def kernel(i, runs):
        return session([CRASH if i == 199 or i < 100 else OK] * runs, signature=f"s{i}")

    answer, _ = drive(Bayes(HISTORY, prices=PRICES), Evidence(HISTORY), kernel)
    assert answer.kind in AnswerKind


def test_one_kernel_shared_by_many_commits_is_not_blamed():
    """Commits 40..59 change nothing in the image: the bug cannot have come with 41..59."""

    def kernel(i, runs):
        return session([CRASH if i >= 60 else OK] * runs, signature="same" if 40 <= i < 60 else f"s{i}")

    answer, _asked = drive(Bayes(HISTORY, prices=PRICES), Evidence(HISTORY), kernel)
    assert answer.culprit == 60
    assert answer.confidence > 0.95


def test_the_same_journal_gives_the_same_decision():
    rng = random.Random(7)
    kernel = noisy(HISTORY, 77, rng, p=0.4, q=0.01, boot=0.1)
    evidence, strategy = Evidence(HISTORY), Bayes(HISTORY, prices=PRICES)
    journal = []
    for _ in range(12):
        experiment = strategy.decide(evidence)
        if isinstance(experiment, Answer):
            break
        found = kernel(experiment.commit, experiment.runs)
        journal.append((experiment.commit, found))
        evidence.add(*journal[-1])
        again = Evidence(HISTORY)
        for entry in journal:
            again.add(*entry)
        assert Bayes(HISTORY, prices=PRICES).decide(again) == strategy.decide(evidence)


def test_a_prior_saves_builds_and_a_wrong_one_costs_few():
    def builds(prior, culprit):
        _, asked = drive(Bayes(HISTORY, prices=PRICES, prior=prior), Evidence(HISTORY), world(culprit))
        return len({experiment.commit for experiment in asked})

    likely = np.full(200, 0.2 / 200)
    likely[60:64] += 0.8 / 4
    assert builds(likely, 62) < builds(None, 62) - 2
    assert builds(likely, 150) <= builds(None, 150) + 3


def test_where_few_runs_speak_more_are_asked_for():
    def asked(others):
        """Runs of the commits where of ten runs so many end in somebody else's crash."""

        def kernel(i, runs):
            made = [OTHER if n % 10 < others and i < 199 else CRASH if i >= 77 else OK for n in range(runs)]
            return session(made, signature=f"s{i}")

        answer, made = drive(Bayes(HISTORY, prices=PRICES, confidence=0.99), Evidence(HISTORY), kernel)
        assert answer.culprit == 77
        return max(one.runs for one in made)

    assert asked(9) >= 4 * asked(0)
    assert asked(3) <= 2 * asked(0)


def test_the_dearer_a_session_the_fewer_there_are():
    def sessions(besides):
        rng = random.Random(3)

        def kernel(i, runs):
            made = [CRASH if i >= 77 and rng.random() < 0.5 else OK for _ in range(runs)]
            return Found("", tuple(made), f"s{i}", build_seconds=2, test_seconds=besides + runs)

        answer, asked = drive(Bayes(HISTORY, prices=Prices(width=1)), Evidence(HISTORY), kernel)
        assert answer.culprit == 77
        return len(asked)

    assert sessions(20.0) < 0.8 * sessions(0.0)


def test_prices_are_what_sessions_took():
    def run(boot):
        parts = {"boot": boot, "restore": 0.5, "run": 1.5}
        return Run(Outcome.OK, seconds=sum(parts.values()), seconds_by=parts)

    evidence, guess = Evidence(HISTORY), Prices(build=1, run=1, width=2, session=1)
    assert evidence.prices(guess) == guess
    evidence.add(9, Found("", (), "s9", build_seconds=7))
    assert evidence.prices(guess) == Prices(build=7, run=1, width=2, session=1)
    evidence.add(8, Found("", (run(3), run(3), run(0)), "s8", build_seconds=7, test_seconds=9))
    assert evidence.prices(guess) == Prices(build=7, run=2, width=2, session=5)
    booted = Run(Outcome.OK, seconds=4, seconds_by={"boot": 3, "restore": 0, "run": 1})
    assert booted.own_seconds == 4
