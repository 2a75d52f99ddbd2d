"""What failures are known by: no number that differs from run to run makes two of one."""

from __future__ import annotations

import pytest

from pytest_kbisect.symptoms import identity

SAME = {
    "a measured value": ("assert 118.2 < 100", "assert 119.6 < 100"),
    "another limit": ("assert 118 < 100 ms", "assert 7 < 20 ms"),
    "negative, exponents": ("assert -3.5e-07 == 0", "assert 1.25E+9 == 0"),
    "units": ("took 118ms", "took 97ms"),
    "an address": ("<Guest object at 0x7f439e1e9250>", "<Guest object at 0x55d1a0>"),
    "a hash": ("commit deadbeef01 is bad", "commit 0123456789ab is bad"),
    "a place in a file": ("test_x.py:12: in f", "test_x.py:345: in f"),
    "an IP address": ("no answer of 10.0.2.15", "no answer of 192.168.1.1"),
    "a version": ("assert 6.1.7 in x", "assert 6.1.192 in x"),
}
APART = {
    "names": ("assert eth0 == up", "assert eth1 == up"),
    "other words": ("assert 1 == 2", "assert 1 in 2"),
    "names with numbers": ("ext4 failed", "ext2 failed"),
}


@pytest.mark.parametrize("kind", SAME)
def test_words_that_differ_in_numbers_are_the_same(kind: str) -> None:
    one, other = map(identity.of_words, SAME[kind])
    assert one == other


@pytest.mark.parametrize("kind", APART)
def test_other_words_are_not(kind: str) -> None:
    one, other = map(identity.of_words, APART[kind])
    assert one != other


def test_what_is_known_by_its_identity_keeps_it() -> None:
    for pair in SAME.values():
        title = identity.of_words(pair[0])
        assert identity.of_words(title) == title


@pytest.mark.parametrize(
    ("line", "title"),
    [
        (
            "net/core/dev.c:123:5: error: too few arguments to function 'foo2'",
            "net/core/dev.c: error: too few arguments to function 'foo2'",
        ),
        (
            "ld: net/core/dev.o: in function `a':\ndev.c:(.text+0x1a2): undefined reference to `b'",
            "ld: net/core/dev.o: in function `a': dev.c:(.text): undefined reference to `b'",
        ),
        ("/bin/sh: line 3: 5: not found", "/bin/sh: line NUM: 5: not found"),
    ],
)
def test_a_build_error_has_no_line_numbers(line: str, title: str) -> None:
    assert identity.of_line(line) == title


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("test 12 of 2", "test 12 of 2"),
        ("latency 118.25 us", "latency NUM us"),
        ("at 0xffff888003 x", "at ADDR x"),
        ("ran 1234567 loops", "ran NUM loops"),
    ],
)
def test_small_numbers_are_a_part_of_a_name(name: str, title: str) -> None:
    assert identity.of_name(name) == title
