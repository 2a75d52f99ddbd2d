"""Looking inside: when it is refused, a clock that stands still, where a debugger starts."""

from __future__ import annotations

import pytest

from pytest_kbisect import interactive
from pytest_kbisect.guest.clock import RunningTime


@pytest.mark.parametrize("flag", ["--kbisect-shell", "--kbisect-gdb"])
def test_workers_and_bisections_have_no_terminal(pytester: pytest.Pytester, flag: str) -> None:
    pytester.makepyfile("def test_it(): pass")
    for words, message in {
        ("-n2",): f"ERROR: {flag} needs a terminal and cannot be combined with -n: remove -n",
        (
            "--kbisect-range=a..b",
        ): f"ERROR: {flag} is for one kernel: use --kbisect-commit instead of --kbisect-range",
    }.items():
        result = pytester.runpytest_inprocess(flag, *words)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([message])
        assert "Traceback" not in result.stderr.str() + result.stdout.str()
    assert pytester.runpytest_inprocess(flag, "-n0").ret == 0


def test_a_bisection_has_no_prompt(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("--pdb", "--kbisect-range=a..b")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --pdb is for one kernel: use --kbisect-commit instead of --kbisect-range"]
    )


def test_a_clock_stands_still_while_the_guest_is_held() -> None:
    now, held = [100.0], [False]
    clock = RunningTime(lambda: held[0], lambda: now[0])
    start = clock()
    now[0] += 5
    assert clock() - start == 5
    held[0] = True
    for _ in range(10):
        now[0] += 60
        assert clock() - start == 5
    held[0] = False
    now[0] += 2
    assert clock() - start == 7


def frames(error: BaseException) -> list[str]:
    names, tb = [], error.__traceback__
    while tb is not None:
        names.append(tb.tb_frame.f_code.co_name)
        tb = tb.tb_next
    return names


def caught(call) -> BaseException:
    try:
        call()
    except ValueError as error:
        return error
    raise AssertionError("nothing was raised")


def test_a_debugger_starts_in_the_test() -> None:
    guest = object()

    def run() -> None:
        raise ValueError("crash")

    def the_test(vm: object) -> None:
        run()

    error = caught(lambda: the_test(guest))
    assert frames(error)[-1] == "run"
    same = interactive.in_sight(error, guest)
    assert same is error
    assert frames(same)[-1] == "the_test"


def test_or_where_the_guest_is_if_the_test_is_over() -> None:
    guest = object()

    def look_at_the_console() -> None:
        raise ValueError("crash")

    error = interactive.in_sight(caught(look_at_the_console), guest)
    tb = error.__traceback__
    while tb.tb_next is not None:
        tb = tb.tb_next
    assert tb.tb_frame.f_locals["vm"] is guest
