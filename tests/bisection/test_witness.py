"""Whether runs that do not crash came to the code of the crash."""

from __future__ import annotations

from dataclasses import replace

from worlds import OK

from pytest_kbisect.evidence.outcome import Outcome, Run
from pytest_kbisect.evidence.witness import Witness, watched_functions, witness_of

REPORT = """\
WARNING: CPU: 1 PID: 61 at mm/page_alloc.c:5634 __alloc_pages+0x136/0x1a0
RIP: 0010:__alloc_pages+0x136/0x1a0
Call Trace:
 <TASK>
 __kmalloc_large_node+0x58/0xf0
 kmalloc_reserve+0x46/0x90
 pskb_expand_head+0x7b/0x300
 tun_get_user+0x9aa/0x1170
 ? __lock_acquire+0x1/0x2
 tun_chr_write_iter+0x55/0x80
 vfs_write+0x172/0x2d0
 ksys_write+0x56/0xd0
 do_syscall_64+0x2b/0x50
 </TASK>
"""
CRASH = Run(
    Outcome.CRASHED, title="WARNING in pskb_expand_head", frame="pskb_expand_head", report=REPORT, seconds=1
)
FUNCTIONS = ("pskb_expand_head", "tun_get_user", "tun_chr_write_iter")


def test_watched_are_the_function_of_the_title_and_its_callers():
    assert watched_functions(CRASH) == (*FUNCTIONS, "vfs_write", "ksys_write")
    in_interrupt = REPORT.replace(" vfs_write+", " asm_sysvec_apic_timer_interrupt+0x1/0x2\n vfs_write+")
    assert watched_functions(replace(CRASH, report=in_interrupt)) == FUNCTIONS
    freed = REPORT + "Freed by task 61:\n kfree_skb+0x1/0x2\n tun_chr_close+0x1/0x2\n"
    assert watched_functions(replace(CRASH, report=freed)) == watched_functions(CRASH)
    assert watched_functions(replace(CRASH, report="")) == ("pskb_expand_head",)
    assert watched_functions(Run(Outcome.CRASHED, title="no output from test machine")) == ()


def test_nobody_watched():
    assert witness_of(FUNCTIONS, [OK, OK]) == Witness()
    assert not Witness().missing


def test_it_came_to_the_function_of_the_crash():
    witness = witness_of(FUNCTIONS, [replace(OK, reached=FUNCTIONS[::-1]), OK])
    assert witness == Witness(FUNCTIONS, FUNCTIONS)
    assert not witness.missing


def test_who_else_calls_the_function_is_no_witness():
    watched = replace(OK, reached=("pskb_expand_head",), unreached=("tun_chr_write_iter", "tun_get_user"))
    witness = witness_of(FUNCTIONS, [watched])
    assert witness.unreached == ("tun_get_user", "tun_chr_write_iter")
    assert witness.missing == "tun_get_user"


def test_one_of_several_runs_is_enough():
    runs = [replace(OK, unreached=FUNCTIONS), replace(OK, reached=FUNCTIONS)]
    assert witness_of(FUNCTIONS, runs).reached == FUNCTIONS


def test_it_stopped_short_of_it():
    runs = [replace(OK, reached=FUNCTIONS[1:], unreached=FUNCTIONS[:1])]
    assert witness_of(FUNCTIONS, runs).missing == "pskb_expand_head"


def test_where_the_function_is_not_there_its_caller_counts():
    reached = witness_of(FUNCTIONS, [replace(OK, reached=FUNCTIONS[1:])])
    assert (reached.absent, reached.missing) == (FUNCTIONS[:1], "")
    unreached = witness_of(FUNCTIONS, [replace(OK, unreached=FUNCTIONS[1:])])
    assert unreached.missing == "tun_get_user"
