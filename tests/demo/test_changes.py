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


def test_an_edit_without_a_new_text_only_makes_sure_of_its_anchor() -> None:
    kept = Change("s", (Edit("a.c", "here", None),), "")
    assert kept.apply({"a.c": b"it is here"}) == {}
    with pytest.raises(AnchorError, match="'here' found 0 times"):
        kept.apply({"a.c": b"gone"})


class TestForms:
    CHANGE = change("s", "mm/vmscan.c", "old", "new", "", Edit("mm/shrinker.c", "old", "newer"))

    def test_the_first_that_fits_is_made(self) -> None:
        both = {"mm/vmscan.c": b"old", "mm/shrinker.c": b"old"}
        assert self.CHANGE.apply(both) == {"mm/vmscan.c": b"new"}
        assert self.CHANGE.apply(both | {"mm/vmscan.c": b""}) == {"mm/shrinker.c": b"newer"}

    def test_a_form_fits_as_a_whole_or_not_at_all(self) -> None:
        two = Change(
            "s", (Edit("a.c", "1", "2"), Edit("b.c", "1", "2")), "", otherwise=((Edit("a.c", "1", "3"),),)
        )
        assert two.apply({"a.c": b"1", "b.c": b""}) == {"a.c": b"3"}

    def test_all_their_files_are_asked_for(self) -> None:
        assert self.CHANGE.paths == {"mm/vmscan.c", "mm/shrinker.c"}

    def test_where_none_fits_each_says_why(self) -> None:
        with pytest.raises(
            AnchorError, match=r"mm/vmscan\.c: not in this tree; mm/shrinker\.c: 'old' found 0 times"
        ):
            self.CHANGE.apply({"mm/shrinker.c": b""})
