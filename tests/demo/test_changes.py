from __future__ import annotations

import pytest

from pytest_kbisect.demo.change import AnchorError, Change, Edit, change


def test_an_edit_replaces_its_anchor() -> None:
    assert Edit("a.c", "old(1)", r"new\1").apply("x old(1) y") == r"x new\1 y"


def test_a_pattern_spans_lines_and_keeps_its_groups() -> None:
    edit = Edit("a.c", r"if \(p\)(\s+panic)", r"if (!p)\1", pattern=True)
    assert edit.apply("if (p)\n\tpanic();") == "if (!p)\n\tpanic();"


@pytest.mark.parametrize("text", ["", "twice twice"])
def test_an_anchor_that_is_gone_or_ambiguous_is_an_error_that_names_it(text: str) -> None:
    with pytest.raises(AnchorError, match=r"mm/slab\.c: 'twice' found \d times, expected 1"):
        Edit("mm/slab.c", "twice", "once").apply(text)


def test_an_edit_that_changes_nothing_is_an_error() -> None:
    with pytest.raises(AnchorError):
        Edit("a.c", "same", "same").apply("same")


def test_edits_of_one_change_build_on_each_other() -> None:
    two = Change("s", (Edit("a.c", "1", "2"), Edit("a.c", "2", "3")), "")
    assert two.apply({"a.c": b"1"}) == {"a.c": b"3"}


def test_bytes_that_are_not_utf8_survive() -> None:
    assert change("s", "a.c", "1", "2", "").apply({"a.c": b"\xe9 1"}) == {"a.c": b"\xe9 2"}


def test_a_file_that_is_not_there_is_an_error() -> None:
    with pytest.raises(AnchorError, match="not in this tree"):
        change("s", "a.c", "1", "2", "").apply({})
