"""Results of subtests, as KUnit, kselftest and others print them."""

from __future__ import annotations

from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kbisect.symptoms.console_text import kernel_lines
from pytest_kbisect.symptoms.ktap import Result, read

KUNIT = """
    KTAP version 1
    1..2
        KTAP version 1
        # Subtest: list-kunit-test
        # module: list_test
        1..3
        ok 1 list_test_list_init
        # list_test_list_add: EXPECTATION FAILED at lib/list-test.c:45
        Expected list.next == &b, but
        not ok 2 list_test_list_add
            KTAP version 1
            # Subtest: list_test_params
            ok 1 width=1
            not ok 2 width=2
        # list_test_params: pass:1 fail:1 skip:0 total:2
        not ok 3 list_test_params
    # list-kunit-test: pass:1 fail:2 skip:0 total:3
    not ok 1 list-kunit-test
        # Subtest: hlist
        1..1
        ok 1 - hlist_test_init
    ok 2 - hlist
"""
KSELFTEST = """
    TAP version 13
    1..2
    # timeout set to 45
    # selftests: timers: posix_timers
    # TAP version 13
    # 1..3
    # ok 1 check itimer virtual
    # ok 2 check itimer real # SKIP no timer
    # not ok 3 check timer_create
    # # Totals: pass:1 fail:1
    not ok 1 selftests: timers: posix_timers # exit=1
    # selftests: net: tls
    # #  RUN           global.keysizes ...
    # #            OK  global.keysizes
    # ok 1 global.keysizes
    ok 2 selftests: net: tls
"""
READ = {
    "kunit": (
        KUNIT,
        [
            ("list-kunit-test.list_test_list_init", "ok"),
            ("list-kunit-test.list_test_list_add", "not ok"),
            ("list-kunit-test.list_test_params.width=1", "ok"),
            ("list-kunit-test.list_test_params.width=2", "not ok"),
            ("list-kunit-test.list_test_params", "not ok"),
            ("list-kunit-test", "not ok"),
            ("hlist.hlist_test_init", "ok"),
            ("hlist", "ok"),
        ],
    ),
    "kselftest": (
        KSELFTEST,
        [
            ("timers:posix_timers.check itimer virtual", "ok"),
            ("timers:posix_timers.check itimer real", "skip"),
            ("timers:posix_timers.check timer_create", "not ok"),
            ("timers:posix_timers", "not ok"),
            ("net:tls.global.keysizes", "ok"),
            ("net:tls", "ok"),
        ],
    ),
    "cut short": (
        "    # Subtest: suite\n    1..3\n    ok 1 a\n    not ok 2 b\n",
        [("suite.a", "ok"), ("suite.b", "not ok")],
    ),
    "two that are cut short": (
        "    # Subtest: one\n    ok 1 a\n    # Subtest: two\n        # Subtest: inner\n        ok 1 b\n",
        [("one.a", "ok"), ("two.inner.b", "ok")],
    ),
    "tabs": ("\t# Subtest: old\n\tok 1 - a\nok 1 - old\n", [("old.a", "ok"), ("old", "ok")]),
    "TODO and no name": (
        "not ok 1 a # TODO later\nok 2\nok 3 # SKIP why\n",
        [("a", "skip"), ("subtest 2", "ok"), ("subtest 3", "skip")],
    ),
    "no results": ("okay\nnot okay\nok, then\nnotok 1 a\n", []),
}


@pytest.mark.parametrize("kind", READ)
def test_results_have_the_names_of_their_parents(kind: str) -> None:
    text, wanted = READ[kind]
    text = dedent(text) if text.startswith("\n") else text
    assert [(one.name, one.result.value) for one in read(text.splitlines())] == wanted


def test_a_console_has_times_before_them() -> None:
    lines = dedent(KUNIT).splitlines()
    console = "\r\n".join(f"[    1.{n:06}][    T1] {line}" for n, line in enumerate(lines))
    plain = [(one.name, one.result) for one in read(lines)]
    mixed = f"Booting from ROM..\r\n{console}\r\nnot ok 9 printed by a program\r\n[    9.0] kbisect: not ok 1 x\r\n"
    assert [(one.name, one.result) for one in read(kernel_lines(mixed))] == plain


@given(st.lists(st.text("ok not12-#. \tSKIPsubtest:é", max_size=30), max_size=20))
def test_whatever_is_printed_can_be_read(lines: list[str]) -> None:
    for one in read(lines):
        assert one.path
        assert all(one.path)
        assert one.result in Result
