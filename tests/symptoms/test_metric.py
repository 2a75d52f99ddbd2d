"""What the symptom `metric` reads from a run."""

from __future__ import annotations

import pytest

from pytest_kbisect import symptoms
from pytest_kbisect.errors import UsageError
from pytest_kbisect.symptoms import RunRecord


def judged(stdout: str, **facts):
    symptom = symptoms.stated("metric ms higher", "here")
    return symptom.judge(RunRecord(name="bench", stdout=stdout, **{"exit_status": 0, **facts}))


def test_all_values_of_the_name_count():
    found = judged("kbisect-metric: ms 1.5\nother\n  kbisect-metric: ms 2e3 us\nkbisect-metric: s 4\n")
    assert found.measured
    assert found.measured.metric == "ms higher"
    assert found.measured.values == (1.5, 2000.0)
    assert not found.shown
    assert not found.silent


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "fast", ""])
def test_a_value_that_is_no_number(value):
    found = judged(f"kbisect-metric: ms 1\nkbisect-metric: ms {value}\n")
    assert "has no finite number" in found.unknown
    assert found.measured is None


def test_a_name_that_is_never_printed():
    assert "and only s, kb:" in judged("kbisect-metric: s 1\nkbisect-metric: kb 2\n").unknown
    assert "no line 'kbisect-metric: ms VALUE', and no metric" in judged("").unknown


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"exit_status": 3}, "bench ended with exit status 3"),
        ({"exit_status": None, "timed_out": True, "seconds": 5.0}, "had not ended after 5 s"),
        ({"exit_status": None, "fatal": True}, "the kernel crashed"),
    ],
)
def test_a_run_that_did_not_go_well_measures_nothing(facts, why):
    found = judged("kbisect-metric: ms 1\n", **facts)
    assert why in found.silent
    assert not found.unknown
    assert found.measured is None


@pytest.mark.parametrize("argument", ["", " ms", " ms up", " higher", " a b higher"])
def test_what_it_must_be_told(argument):
    with pytest.raises(UsageError, match="write metric NAME higher, or metric NAME lower"):
        symptoms.stated(f"metric{argument}", "here")
