"""The opening of a search for a change of a metric: both ends are run until they can be told apart."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from pytest_kbisect.evidence import measured
from pytest_kbisect.evidence.measured import number, percent
from pytest_kbisect.history.candidates import GOOD_END
from pytest_kbisect.strategies.bayes.testable import boot_failures, is_dead, is_mute
from pytest_kbisect.strategies.strategy import Answer, AnswerKind, Experiment, no_result

if TYPE_CHECKING:
    from pytest_kbisect.evidence.by_kernel import Evidence
    from pytest_kbisect.evidence.contrast import Contrast

STAGES = (5, 10, 20, 40, 80, 140, 200)
"""Values of each end after which it is looked whether they differ; after the last one, they do not.

A difference of 0.41 of the spread of runs is found then in four of five tries.
"""
ALONE = 20
"""Values of the bad end, where a good one is looked for among the releases."""


def tell_apart(evidence: Evidence, *, trusted: bool) -> Experiment | Answer | None:
    """The next step until both ends differ in the wanted direction; None once they do.

    `trusted`: the user has named the good end.
    """
    ends = (evidence.reported,) if evidence.walking else (evidence.reported, evidence.other_end)
    for end in ends:
        if (trouble := _no_values(evidence, end)) is not None:
            return trouble
    contrast = evidence.contrast
    if contrast is not None and contrast.worse:
        return None
    have = {end: len(evidence.values(end)) for end in ends}
    if contrast is not None and min(have.values()) >= STAGES[0] and (contrast.better or contrast.constant):
        return _useless(evidence, contrast)
    stages = (ALONE,) if evidence.walking else STAGES
    for stage in stages:
        for end in ends:
            if have[end] < stage:
                return _more(evidence, end, stage)
    return None if evidence.walking or contrast is None else _alike(evidence, contrast, trusted=trusted)


def _name(end: int) -> str:
    return "good end" if end == GOOD_END else "bad end"


def _no_values(evidence: Evidence, end: int) -> Answer | None:
    """The answer where an end cannot be measured."""
    counts = evidence.counts(end)
    if evidence.builds(end) is False:
        return Answer(AnswerKind.UNTESTABLE, reason=f"the {_name(end)} does not build")
    if is_dead(counts, boot_failures(evidence)):
        failed = f"{counts.boot_failed} times"
        return Answer(AnswerKind.UNTESTABLE, reason=f"the {_name(end)} does not boot ({failed})")
    if is_mute(counts) or counts.total >= 2 * STAGES[-1]:
        return no_result(evidence, end, _name(end))
    return None


def _more(evidence: Evidence, end: int, stage: int) -> Experiment:
    """More runs of an end."""
    values = evidence.values(end)
    counts = evidence.counts(end)
    runs = stage - len(values)
    if values and counts.total > len(values):  # some runs end without a value
        runs = min(STAGES[-1], round(runs * counts.total / len(values)))
    so_far = f" (median {number(median(values))} of {len(values)} runs so far)" if values else ""
    what = "what does" if not values else "can the ends be told apart? more of"
    reason = f"{what} the {_name(end)}{' measure?' if not values else ''}{so_far}"
    return Experiment(end, runs, reason=reason, own=not evidence.own_values(end))


def _name_of(metric: str) -> str:
    return metric.rpartition(" ")[0]


def _useless(evidence: Evidence, contrast: Contrast) -> Answer:
    """The answer where more runs will not help: one value everywhere, or the wrong direction."""
    name = _name_of(evidence.metric)
    if contrast.constant:
        reason = (
            f"{name} is {number(contrast.good[0])} in all {len(contrast.bad) + len(contrast.good)} runs at both ends: "
            "there is no difference to bisect, or the reproducer does not measure"
        )
        return Answer(AnswerKind.NOT_REPRODUCED, reason=reason)
    found = contrast.difference
    turned = "lower" if contrast.higher else "higher"
    reason = (
        f"{name} is {turned} at the {_name(evidence.reported)}, not {'higher' if contrast.higher else 'lower'}: "
        f"{number(median(contrast.bad))} instead of {number(found.base)} ({percent(found.part)}): write "
        f"metric {name} {turned}, or look for a fix (--kbisect-fix)"
    )
    return Answer(AnswerKind.NOT_REPRODUCED, reason=reason)


def _alike(evidence: Evidence, contrast: Contrast, *, trusted: bool) -> Answer:
    """The answer where the ends cannot be told apart, with the difference that would have been seen."""
    found = contrast.difference
    visible = measured.visible(contrast.bad, contrast.good)
    part = percent(visible / abs(found.base) if found.base else None).lstrip("+")
    reason = (
        f"{_name_of(evidence.metric)} cannot be told apart at the ends: {number(median(contrast.bad))} at the "
        f"{_name(evidence.reported)}, {number(found.base)} at the {_name(evidence.other_end)}, in "
        f"{len(contrast.bad)} and {len(contrast.good)} runs; a difference of {number(visible)}"
        f"{f' ({part})' if part else ''} would have been seen"
    )
    return Answer(AnswerKind.NOT_REPRODUCED if trusted else AnswerKind.BAD_AT_GOOD_END, reason=reason)
