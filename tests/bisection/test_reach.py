"""What runs are worth that ended well: those that came to the bug's code, and those that did not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_witness import CRASH
from worlds import OK

from pytest_kbisect.evidence.outcome import Report
from pytest_kbisect.evidence.reach import Reach, reach_of
from pytest_kbisect.evidence.reference import Match, Reference, match_names
from pytest_kbisect.evidence.run_counts import count_runs
from pytest_kbisect.evidence.witness import path_of

PATH = ("tun_get_user", "tun_chr_write_iter")
KNOWN = Reference(path=PATH).grown([CRASH])
THERE = replace(OK, reached=PATH)
SILENT = replace(OK, reached=PATH[1:], unreached=PATH[:1])
OTHER = replace(CRASH, title="WARNING in mask", frame="mask", report="", whole=True)


@pytest.mark.parametrize(
    ("facts", "reach"),
    [
        ({"reached": PATH}, Reach.REACHED),
        ({"unreached": PATH}, Reach.SILENT),
        ({"reached": PATH[1:], "unreached": PATH[:1]}, Reach.SILENT),
        ({"reached": PATH[:1], "unreached": PATH[1:]}, Reach.REACHED),  # by another caller
        ({"inlined": PATH[:1], "reached": PATH[1:]}, Reach.REACHED),
        ({"inlined": PATH[:1], "unreached": PATH[1:]}, Reach.SILENT),
        ({"inlined": PATH}, Reach.UNKNOWN),
        ({"absent": PATH[:1], "unreached": PATH[1:]}, Reach.REACHED),  # no code, no bug
        ({"inlined": PATH[:1], "absent": PATH[1:]}, Reach.UNKNOWN),
        ({}, Reach.UNKNOWN),
        ({"unwatched": "no stub"}, Reach.UNKNOWN),
    ],
)
def test_how_far_a_run_came(facts, reach) -> None:
    assert reach_of(replace(OK, **facts), PATH) is reach


@pytest.mark.parametrize(
    ("runs", "ok", "silent"),
    [
        ([THERE] * 3, 3, 0),
        ([SILENT] * 3, 0, 3),
        ([THERE, SILENT], 1, 1),
        ([SILENT] * 2 + [OK] * 4, 0, 6),  # of those that were not watched as many
        ([SILENT, THERE, THERE, THERE] + [OK] * 4, 6, 2),
        ([OK] * 4, 4, 0),
    ],
)
def test_silent_runs_are_no_evidence(runs, ok, silent) -> None:
    counts = count_runs(runs, KNOWN)
    assert (counts.ok, counts.silent, counts.informative, counts.booted) == (ok, silent, ok, len(runs))


@pytest.mark.parametrize(
    ("run", "kind"),
    [
        (replace(OTHER, reached=PATH), "ok"),  # it showed another bug, and went on past this one's place
        (replace(OTHER, reached=PATH, whole=False), "unrelated"),
        (replace(OTHER, unreached=PATH), "unrelated"),
        (OTHER, "unrelated"),
        (replace(OTHER, reached=PATH, reports=(Report("WARNING in mask"), Report(CRASH.title))), "matching"),
    ],
)
def test_a_run_that_showed_another_bug(run, kind) -> None:
    counts = count_runs([run], KNOWN)
    assert getattr(counts, kind) == counts.total == 1


def test_after_one_report_lockdep_is_off() -> None:
    title = "possible deadlock in tun_get_user"
    deadlock = Reference(frozenset({title}), path=PATH)
    other = replace(OTHER, reached=PATH, title="possible deadlock in mask", type="LOCKDEP")
    assert count_runs([other], deadlock).ok == 0
    assert count_runs([replace(other, title="WARNING in mask", type="WARNING")], deadlock).ok == 1


def test_guests_boot_so_that_kasan_reports_more_than_once() -> None:
    title = "KASAN: slab-use-after-free Read in tun_get_user"
    known = Reference(frozenset({title}), path=PATH)
    other = replace(OTHER, reached=PATH, title="KASAN: slab-out-of-bounds Read in mask", type="KASAN-READ")
    assert count_runs([other], known).ok == 1
    assert count_runs([replace(other, whole=False)], known).ok == 0


def test_a_similar_report_is_not_the_bugs_if_the_bugs_own_statement_was_passed() -> None:
    """Both are blamed on one file, but the run executed the WARN_ON() of the bug's report."""

    def related(run, reference):
        return Match.MATCH if run.title in reference.titles else Match.RELATED

    known = Reference(frozenset({"WARNING in tun_get_user"}), path=PATH)
    passed = replace(OTHER, type="WARNING", reached=PATH)
    for run, kind in [
        (passed, "ok"),
        (replace(passed, whole=False), "related"),
        (replace(passed, reached=PATH[1:], inlined=PATH[:1]), "related"),
        (replace(passed, reached=PATH[1:], absent=PATH[:1]), "related"),  # it may have another name there
        (replace(passed, title="WARNING: refcount bug in mask", type="REFCOUNT_WARNING"), "related"),
        (replace(passed, title="KASAN: wild-memory-access Read in mask", type="KASAN-READ"), "related"),
    ]:
        counts = count_runs([run], known, related)
        assert getattr(counts, kind) == counts.total == 1, run
    by_its_caller = Reference(frozenset({"WARNING in copy_from_iter"}), path=PATH)
    assert count_runs([passed], by_its_caller, related).related == 1


SHOWN = replace(
    CRASH, reached=("pskb_expand_head", *PATH, "vfs_write"), idle=("pskb_expand_head", "vfs_write")
)


def path(*runs) -> tuple[str, ...]:
    return path_of(runs, KNOWN, match_names)


def test_what_an_idle_guest_executes_is_no_evidence() -> None:
    assert path(SHOWN) == PATH
    assert path(replace(SHOWN, idle=("",))) == ("pskb_expand_head", *PATH, "vfs_write")


def test_nothing_is_known_before_a_run_that_crashes_was_compared_with_an_idle_guest() -> None:
    assert path(replace(SHOWN, idle=())) == path(replace(THERE, idle=("vfs_write",))) == path() == ()


def test_what_a_run_that_crashes_does_not_execute_by_its_name_is_no_evidence() -> None:
    assert path(SHOWN, replace(SHOWN, reached=(PATH[1],))) == PATH[1:]


def test_a_function_that_is_only_called_once_all_is_lost_is_no_evidence() -> None:
    """Of a bug that crashes at times, the runs that do not crash come to its code as well."""
    assert path(SHOWN, replace(SILENT, idle=("vfs_write",))) == PATH[1:]
    assert path(SHOWN, THERE) == PATH
