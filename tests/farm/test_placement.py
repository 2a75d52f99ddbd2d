"""Where a session goes, who may take part, and whether hosts differ: from facts alone."""

from __future__ import annotations

import pytest

from pytest_kbisect.evidence.by_host import HostCount, difference, fisher
from pytest_kbisect.farm import suitability
from pytest_kbisect.farm.placement import Worker, capacity, place

VERSIONS = {"pytest-kbisect": "0.1.0", "Python": "3.11", "distributed": "2026.8.0"}
GCC = "gcc (Debian 12.2.0-14) 12.2.0, GNU ld 2.40"


def crew(*names, **changed):
    workers = {f"tcp://{name}": Worker(f"tcp://{name}", name) for name in names}
    for name, facts in changed.items():
        for fact, value in facts.items():
            setattr(workers[f"tcp://{name}"], fact, value)
    return workers


def by_number(commit, others):
    """Commits are numbers here: the nearest first."""
    return sorted(others, key=lambda other: abs(int(other) - int(commit)))


def chosen(workers, commit="50", **words):
    found = place(workers, commit, nearest=by_number, **words)
    return found.name if found else None


def test_the_nearest_tree_builds_least():
    workers = crew(
        "a", "b", "c", a={"commits": {"10": None}}, b={"commits": {"60": None}}, c={"commits": {"90": None}}
    )
    assert chosen(workers) == "b"
    assert chosen(workers, "95") == "c"


def test_who_has_built_the_commit_has_its_kernel():
    workers = crew("a", "b", a={"commits": {"50": None, "10": None}}, b={"commits": {"49": None}})
    assert chosen(workers) == "a"


def test_the_quickest_of_those_that_know_nothing():
    assert chosen(crew("a", "b", a={"seconds": [40.0]}, b={"seconds": [10.0]})) == "b"


def test_a_busy_worker_is_passed_over():
    assert chosen(crew("a", "b", a={"running": {"x"}, "commits": {"50": None}})) == "b"
    assert chosen(crew("a", "b", a={"others": 1, "commits": {"50": None}})) == "b", "another bisection's task"


def test_where_everybody_is_busy_the_shortest_queue_is_joined():
    workers = crew("a", "b", a={"running": {"x", "y"}, "slots": 1}, b={"running": {"x"}, "slots": 1})
    assert chosen(workers) == "b"
    workers = crew(
        "a", "b", a={"running": {"1", "2", "3"}, "slots": 4, "others": 1}, b={"running": {"x"}, "others": 1}
    )
    assert chosen(workers) == "a"


def test_a_named_host_is_waited_for():
    assert chosen(crew("a", "b", a={"running": {"x"}}), host="a") == "a"
    assert chosen(crew("a", "b"), host="gone") == "a"
    assert chosen(crew("a", "b", a={"aside": "broken"}), host="a") == "b"


def test_another_one_is_tried_where_a_session_failed():
    assert chosen(crew("a", "b", a={"commits": {"50": None}}), avoid=frozenset({"a"})) == "b"
    assert chosen(crew("a"), avoid=frozenset({"a"})) == "a"


def test_nobody():
    assert chosen({}) is None
    assert chosen(crew("a", "b", a={"aside": "x"}, b={"unsuitable": ("y",)})) is None


def test_capacity():
    assert capacity(crew("a", "b", "c", a={"slots": 4}, c={"aside": "x"}).values()) == 5


# -- who takes part ----------------------------------------------------------------------------------------


def offer(**changed):
    return {
        "versions": VERSIONS,
        "toolchains": {"x86_64": GCC},
        "faults": [],
        "problems": [],
        "clock": 1000.0,
        **changed,
    }


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (
            {"versions": {**VERSIONS, "Python": "3.12"}},
            "Python 3.12 there, 3.11 here: install the same version",
        ),
        (
            {"versions": {"Python": "3.11", "pytest-kbisect": "0.1.0"}},
            "distributed is missing there, 2026.8.0 here",
        ),
        ({"toolchains": {}}, "it has no compiler for x86_64: install one"),
        ({"toolchains": {"x86_64": "gcc 13"}}, f"its compiler is gcc 13, this range is built with {GCC}"),
        (
            {"faults": ["missing: qemu (to run guests)"]},
            "missing: qemu (to run guests): kbisect doctor there",
        ),
        (
            {"problems": ["/cache cannot be written"]},
            "/cache cannot be written: kbisect doctor there says more",
        ),
    ],
)
def test_why_a_worker_does_not_take_part(changed, reason):
    assert suitability.reasons(offer(), VERSIONS, "x86_64", GCC) == []
    (found,) = suitability.reasons(offer(**changed), VERSIONS, "x86_64", GCC)
    assert found.startswith(reason)


def test_one_compiler_for_a_range():
    def compiler(*own, before="", driver=GCC):
        offers = [offer(toolchains={"x86_64": one}) for one in own]
        return suitability.compiler_of_range(offers, "x86_64", before=before, own=driver)

    assert compiler(GCC, "gcc 13", "gcc 13") == GCC, "the driver's, if any worker has it"
    assert compiler("gcc 11", "gcc 13", "gcc 13") == "gcc 13", "else what most have"
    assert compiler(GCC, before="gcc 11") == "gcc 11", "and it stays"
    assert compiler() == GCC


@pytest.mark.parametrize(
    ("there", "words"),
    [(1000.0, ""), (1100.0, ""), (1000.0 - 7200, "is 2.0 h behind"), (1000.0 + 600, "is 10 min ahead")],
)
def test_clocks(there, words):
    note = suitability.clock_note("a", offer(clock=there), 1000.0)
    assert words in note
    assert bool(note) == bool(words)


# -- hosts that differ -------------------------------------------------------------------------------------


def test_fisher_of_the_tea():
    """R. A. Fisher, The Design of Experiments (1935): 3 of 4 cups; and scipy's example, 0.0349..."""
    assert fisher(3, 4, 1, 4) == pytest.approx(0.4857, abs=1e-4)
    assert fisher(8, 10, 1, 6) == pytest.approx(0.0350, abs=1e-4)


def test_a_crash_rate_that_differs_is_found():
    def counts(*pairs):
        return tuple(HostCount(name, "", *pair) for name, pair in zip("abc", pairs, strict=False))

    assert difference(counts((5, 10), (6, 10))) is None
    assert difference(counts((5, 10))) is None
    worst, chance = difference(counts((10, 10), (0, 10)))
    assert (worst.host, chance < 1e-4) == ("a", True)
    assert difference(counts((9, 10), (9, 10), (0, 10)))[0].host == "c"
