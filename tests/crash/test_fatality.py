"""What goes on after a report, on the logs of the formats' tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kbisect.crash import parse_console
from pytest_kbisect.crash.fatality import Fatality, fatality

LOGS = Path(__file__).parent / "logs"
SURVIVED = (
    "allocator_warn",
    "bad_magic",
    "deadlock_circular",
    "kasan_use_after_free",
    "kcsan",
    "kfence",
    "kobject",
    "leak",
    "left_locked",
    "list_warn",
    "odebug",
    "preemptible",
    "rcu_usage",
    "refcount",
    "sleeping",
    "ubsan_bounds",
    "ubsan_divide",
)
OOPSES = (
    "bug",
    "divide_error",
    "gpf",
    "invalid_opcode",
    "jump_to_null",
    "null_pointer",
    "paging_request_arm64",
)


def first(name: str):
    text = (LOGS / name).read_bytes()
    return parse_console(text.partition(b"\n\n")[2] or text)[0]


@pytest.mark.parametrize("name", SURVIVED)
def test_a_kernel_survives_what_is_only_reported(name: str) -> None:
    assert fatality(first(name)) is Fatality.NONE


@pytest.mark.parametrize("name", OOPSES)
def test_an_oops_kills_a_task_at_least(name: str) -> None:
    assert fatality(first(name)) is not Fatality.NONE


@pytest.mark.parametrize("name", ["hung_task", "rcu_stall"])
def test_who_hangs_does_not_go_on(name: str) -> None:
    assert fatality(first(name)) is not Fatality.NONE


@pytest.mark.parametrize("name", ["panic", "panic_no_root"])
def test_a_panic_ends_it_all(name: str) -> None:
    assert fatality(first(name)) is Fatality.KERNEL
