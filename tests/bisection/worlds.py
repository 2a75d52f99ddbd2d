"""Bisections played against kernels that exist only as rules."""

from __future__ import annotations

import itertools

import pytest

from pytest_kbisect.evidence.outcome import CommitResult as Found
from pytest_kbisect.evidence.outcome import Outcome, Run
from pytest_kbisect.strategies.bayes import BAYES
from pytest_kbisect.strategies.classic import CLASSIC
from pytest_kbisect.strategies.strategy import Answer, Experiment

KINDS = {kind.name: kind for kind in (BAYES, CLASSIC)}
OK, BOOT = Run(Outcome.OK, seconds=1), Run(Outcome.BOOT_FAILED, seconds=1)
INFRA = Run(Outcome.INFRA_FAILED, seconds=1)
CRASH = Run(Outcome.CRASHED, title="WARNING in foo", type="warning", frame="foo", seconds=1)
OTHER = Run(Outcome.CRASHED, title="KASAN: use-after-free Read in bar", type="kasan", frame="bar")


def drive(strategy, evidence, kernel):
    """Play a bisection; kernel(i, runs) gives what a session at commit i finds. -> answer, experiments"""
    asked = []
    for _ in range(200):
        what = strategy.decide(evidence)
        assert strategy.decide(evidence) == what
        if isinstance(what, Answer):
            return what, asked
        assert isinstance(what, Experiment)
        asked.append(what)
        evidence.add(what.commit, kernel(what.commit, what.runs))
    pytest.fail("no answer after 200 experiments")


_NUMBER = itertools.count()


def session(runs, signature=""):
    return Found("", tuple(runs), signature or f"unique {next(_NUMBER)}", build_seconds=10)


def world(culprit, broken=(), dead=()):
    def kernel(i, runs):
        if i in broken:
            return Found("", build_error="error: foo.c")
        outcome = BOOT if i in dead else CRASH if i >= culprit else OK
        return session([outcome] * runs, signature=f"s{i}")

    return kernel
