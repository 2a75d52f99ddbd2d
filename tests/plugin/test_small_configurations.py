"""Whole bisections that search with a smaller configuration than the user's, and what is refused."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from whole import Place

from pytest_kbisect.errors import ExitCode
from pytest_kbisect.kernel import config

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.bisection,
    pytest.mark.skipif(
        not all(map(shutil.which, ("qemu-system-x86_64", "gcc"))), reason="this host builds no kernels"
    ),
]
HEADER = "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 6.1.7 Kernel Configuration\n#\n"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    symbols = [symbol for symbol, _ in config.for_guest().settings]
    lines = "".join(f"CONFIG_{symbol}=y\n" for symbol in [*symbols, "UBSAN"])
    (tmp_path / "whole.config").write_text(HEADER + lines)
    return place


def bisect(place: Place, *words: str, to: str = "result", of: str = "whole.config"):  # type: ignore[no-untyped-def]
    return place.bisect(f"--kbisect-config={of}", *words, to=to)


def test_detectors_that_the_crash_does_not_need_are_dropped(place: Place) -> None:
    place.change("before")
    culprit = place.play("The culprit", "crash")
    place.change("after")
    done = bisect(place)
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert place.result()["culprit"] == culprit
    assert "# configuration: " in done.out
    assert "without UBSAN" in done.out
    made = (place.path / "result" / "minimized.config").read_text()
    assert made.startswith("# 39 of 40 symbols")
    assert "UBSAN" not in config.values(made)
    request = json.loads(
        next((place.path / "result" / "sessions").glob(f"{culprit[:12]}*/request.json")).read_text()
    )
    assert request["configuration"] == made.partition("\n")[2]
    phases = [record.get("phase") for record in place.journal() if record["kind"] == "tested"]
    assert phases[:2] == ["configuration"] * 2
    assert "configuration" not in phases[2:]
    again = bisect(place)
    assert again.code == ExitCode.FOUND
    assert sum(record["kind"] == "tested" for record in place.journal()) == len(phases)
    kept = bisect(place, "--kbisect-keep-config", to="kept")
    assert kept.code == ExitCode.FOUND, kept.out + kept.err
    assert not (place.path / "kept" / "minimized.config").exists()
    refused = bisect(place, "--kbisect-keep-config")
    assert refused.code == ExitCode.USAGE
    assert "its minimize is [false, false, null], now it is [false, true, null]" in refused.err


def test_a_bug_that_needs_a_detector_after_all(place: Place) -> None:
    place.change("before")
    culprit = place.play("The culprit", "crash", configured="CONFIG_UBSAN")
    done = bisect(place)
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert place.result()["culprit"] == culprit
    assert "# configuration: the whole one, with all detectors" in done.out
    assert not (place.path / "result" / "minimized.config").exists()


def test_a_baseline_that_shows_the_bug_is_searched_with(place: Place) -> None:
    whole = (place.path / "whole.config").read_text()
    (place.path / "base.config").write_text(whole.replace("CONFIG_UBSAN=y\n", ""))
    culprit = place.play("The culprit", "crash")
    place.change("after")
    done = bisect(place, "--kbisect-minimize-config", "--kbisect-baseline=base.config")
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert place.result()["culprit"] == culprit
    assert "# configuration: the baseline, which shows the bug" in done.out
    assert done.out.count("does the whole configuration") == 0


def test_where_nothing_can_be_recorded_that_is_said(place: Place) -> None:
    place.play("The culprit", "crash")
    done = bisect(place, "--kbisect-minimize-config")
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert any("not known what a run executes: no run was recorded" in note for note in done.notes)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--kbisect-baseline=base.config"], "add --kbisect-minimize-config"),
        (["--kbisect-minimize-config", "--kbisect-modules"], "cannot be used with --kbisect-modules"),
        (["--kbisect-minimize-config", "--kbisect-ask"], "cannot be used with --kbisect-ask"),
        (["--kbisect-minimize-config", "--kbisect-each"], "cannot be used with --kbisect-each"),
        (
            ["--kbisect-minimize-config", "--kbisect-config=few.config"],
            "needs a whole configuration to begin with: give a .config",
        ),
        (["--kbisect-minimize-config", "--kbisect-baseline=none.config"], "No such file or directory"),
        (["--kbisect-minimize-config", "--kbisect-baseline=few.config"], "not a whole configuration"),
        (["--kbisect-minimize-config", "--kbisect-baseline=arm.config"], "is of the architecture arm64"),
        (["--kbisect-minimize-config", "--kbisect-baseline=bytes.config"], "is not text (byte 1)"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_built(
    place: Place, words: list[str], message: str
) -> None:
    place.play("The culprit", "crash")
    whole = (place.path / "whole.config").read_text()
    (place.path / "base.config").write_text(whole)
    (place.path / "few.config").write_text("CONFIG_TUN=y\n")
    (place.path / "arm.config").write_text(whole.replace("Linux/x86", "Linux/arm64"))
    (place.path / "bytes.config").write_bytes(b"C\xff")
    given = words if any("few.config" in word and "baseline" not in word for word in words) else [
        *words, "--kbisect-config=whole.config"
    ]  # fmt: skip
    done = place.bisect(*given)
    assert done.code == ExitCode.USAGE, done.out + done.err
    assert message in done.err
    assert "Traceback" not in done.out + done.err
    assert place.linux.builds == 0
