"""Which functions a run is watched for, and what is told of it; with a guest that is none."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pytest_kbisect import properties
from pytest_kbisect.crash import CrashReport
from pytest_kbisect.errors import InfraError
from pytest_kbisect.session.expectation import Expectation
from pytest_kbisect.session.watching import Places, watch

PLACES = Places({"store": (1,), "check": (2,), "vfs_write": (3,)}, ("inlined",), ("absent",))


class Guest:
    """Executes `busy` whatever it does, and the rest once its reproducer runs."""

    def __init__(self, busy=("vfs_write",), trouble="", most=None, later=()):
        self.busy, self.trouble, self.did = busy, trouble, []
        self.most, self.later = most, later

    def watch(self, entries, socket):
        if self.trouble == "stub":
            raise InfraError("qemu", "QEMU's gdb stub does not answer")
        self.reached = SimpleNamespace(
            hit=frozenset(), trouble=self.trouble, functions=tuple(entries)[: self.most], widen=self.widen
        )
        return self.reached

    def widen(self):
        before, self.reached.functions = self.reached.functions, (*self.reached.functions, *self.later)
        self.later = ()
        return before != self.reached.functions

    def run(self, command, **_):
        self.did.append(command)
        self.reached.hit |= set(self.busy)

    def put(self, local, remote):
        self.run(remote)

    def settle(self):
        self.run("settle")


def facts(guest: Guest, *reached: str, idle: bool = False) -> dict[str, set[str]]:
    watched = watch(guest, PLACES, None, idle=idle)
    if watched.reached:
        watched.reached.hit |= set(reached)
    found: dict[str, set[str]] = {}
    for name, text in watched.facts():
        found.setdefault(name, set()).add(text)
    return found


def test_each_function_is_told_of() -> None:
    assert facts(Guest(), "check") == {
        properties.REACHED: {"check"},
        properties.UNREACHED: {"store", "vfs_write"},
        properties.INLINED: {"inlined"},
        properties.ABSENT: {"absent"},
    }


@pytest.mark.parametrize(("busy", "told"), [(("vfs_write",), {"vfs_write"}), ((), {""})])
def test_what_an_idle_guest_executes_is_told(busy, told) -> None:
    guest = Guest(busy)
    found = facts(guest, "store", idle=True)
    assert found[properties.IDLE] == told
    assert found[properties.REACHED] == {"store", *busy}
    assert "settle" in guest.did


def test_a_run_that_cannot_be_watched_says_why() -> None:
    found = facts(Guest(trouble="stub"), idle=True)
    assert "does not answer" in next(iter(found[properties.UNWATCHED]))
    assert found.keys() == {properties.UNWATCHED, properties.INLINED, properties.ABSENT}


def test_of_one_that_was_watched_for_a_while_only_what_was_seen_counts() -> None:
    found = facts(Guest(trouble="late"), "store")
    assert found[properties.REACHED] == {"store"}
    assert properties.UNREACHED not in found


@pytest.mark.parametrize(
    ("title", "alt_titles", "met"),
    [
        ("WARNING in foo", (), True),
        ("WARNING in bar", (), False),
        ("KASAN: use-after-free Read in bar", ("WARNING in foo",), True),
        ("INFO: bad unlock balance in baz", (), True),  # as it was called before 4.13
    ],
)
def test_an_expectation_is_met_by_any_of_its_titles(title, alt_titles, met) -> None:
    wanted = Expectation(frozenset({"WARNING in foo", "WARNING: bad unlock balance in baz"}))
    report = CrashReport(title, alt_titles)
    assert wanted.met_by(report) is met
    assert not Expectation().met_by(report)


def test_an_expectation_may_be_a_whole_first_line() -> None:
    line = "BUG: unable to handle page fault for address: ffff888000001000"
    report = CrashReport("BUG: unable to handle kernel paging request in foo", report=f"{line}\n#PF: bad\n")
    assert Expectation(frozenset({line})).met_by(report)


def test_what_had_no_breakpoint_from_the_beginning_is_not_unreached() -> None:
    assert facts(Guest(most=2), "store")[properties.UNREACHED] == {"check"}


def test_what_idle_functions_made_room_for_is_looked_at_while_the_guest_is_idle() -> None:
    guest = Guest(busy=("store",), most=2, later=("vfs_write",))
    assert facts(guest, idle=True)[properties.UNREACHED] == {"check", "vfs_write"}
    assert guest.did.count("settle") == 2
