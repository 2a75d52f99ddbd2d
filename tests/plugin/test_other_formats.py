"""A crash format that another plugin adds: the one of the documentation."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pages
import pytest
from whole import Place

from pytest_kbisect import CrashReport, ExitCode, UsageError, crash_format, parse_console, same_bug
from pytest_kbisect.commands import main
from pytest_kbisect.crash import known
from pytest_kbisect.crash.formats import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TITLE = "acme: rx queue stuck in acme_rx_drain"
(CONSOLE,) = [block.text for block in pages.blocks("text") if "acme" in block.text]


@pytest.fixture
def added() -> Iterator[None]:
    """The documentation's format, added in this process."""
    namespace: dict[str, Any] = {}
    exec(compile(pages.plugin("acme_crashes.py"), "acme_crashes.py", "exec"), namespace)
    before = known.current()
    known.use(known.KnownFormats([*namespace["pytest_kbisect_crash_formats"](), *BUILT_IN]))
    yield
    known.use(before)


@pytest.mark.bisection
@pytest.mark.skipif(
    not all(map(shutil.which, ("qemu-system-x86_64", "gcc", "perl"))), reason="this host builds no kernels"
)
def test_a_bisection_of_such_a_crash(tmp_path: Path) -> None:
    place = Place(tmp_path)
    (tmp_path / "acme_crashes.py").write_text(pages.plugin("acme_crashes.py"))
    (tmp_path / "console").write_text(CONSOLE)
    place.change("before")
    culprit = place.play("The culprit", "console")
    place.change("after")
    environment = {"PYTHONPATH": str(tmp_path), "PLAYED_CONSOLE": str(tmp_path / "console")}
    without = place.bisect(to="without", **environment)
    assert without.code == ExitCode.NOT_REPRODUCED, without.out + without.err
    done = place.bisect("-p", "acme_crashes", **environment)
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert (place.result()["culprit"], place.result()["crash"]) == (culprit, TITLE)


def test_a_report_of_it(added: None) -> None:
    (report,) = parse_console(CONSOLE.encode())
    assert (report.title, report.type, report.frame) == (TITLE, "HANG", "acme_rx_drain")
    assert report.alt_titles == ("hang in acme_rx_drain",)


def test_its_words_elsewhere_are_no_report(added: None) -> None:
    assert parse_console(b"[    1.000000][    T1] acme: queue rx is up\n") == ()
    other = parse_console(b"[    1.000000][    T1] acme: queue rx is up\n" + CONSOLE.encode())
    assert [report.title for report in other] == [TITLE]


def test_titles_alone_are_of_its_kind(added: None) -> None:
    (report,) = parse_console(CONSOLE.encode())
    other = CrashReport("INFO: task hung in acme_rx_drain")
    assert same_bug(report, other).kind == "match"
    assert known.current().kind_of("acme: tx queue stuck in acme_tx_drain") == "HANG"


@pytest.mark.parametrize("stamp", ["[    1.000000][    T1] ", ""])
def test_it_comes_before_built_in_ones_and_their_harmless_lines(stamp: str) -> None:
    """Under WARNING:, lines with the word deprecated are harmless; those with the sign are not."""
    before = known.current()
    line = f"{stamp}WARNING: acme: deprecated ring 3\n"
    own = crash_format(
        r"WARNING: acme: deprecated ring (?P<ring>\d+)",
        "acme: ring {ring} is old",
        headers=("WARNING:",),
        traceless=True,
    )
    assert parse_console(line.encode()) == ()
    known.use(known.KnownFormats([own, *BUILT_IN]))
    try:
        assert [report.title for report in parse_console(line.encode())] == ["acme: ring NUM is old"]
        assert parse_console(line.replace("ring", "rung").encode()) == ()
    finally:
        known.use(before)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "name words of its first line"),
        ({"sign": "(acme", "headers": ("acme",)}, "has an invalid expression"),
        ({"title": "{what}", "headers": ("acme",)}, "has an unknown group in a title"),
    ],
)
def test_one_that_cannot_be_used_ends_the_session(
    pytester: pytest.Pytester, arguments: Any, words: str
) -> None:
    told = {"sign": "acme", "title": "acme", **arguments}
    pytester.makeconftest(
        f"""
        from pytest_kbisect import crash_format
        def pytest_kbisect_crash_formats():
            return [crash_format(**{told!r})]
        """
    )
    pytester.path.joinpath("crash.sh").write_text("true\n")
    result = pytester.runpytest("--kbisect-runs=1", "crash.sh")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (error,) = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert words in error


def test_after_the_session_it_is_forgotten(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(pages.plugin("acme_crashes.py"))
    pytester.makepyfile(
        f"""
        from pytest_kbisect import parse_console
        def test_it():
            assert parse_console({CONSOLE.encode()!r})[0].title == {TITLE!r}
        """
    )
    pytester.runpytest("--kbisect-runs=1").assert_outcomes(passed=1)
    assert parse_console(CONSOLE.encode()) == ()


def test_kbisect_crash_knows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "acme_crashes.py").write_text(pages.plugin("acme_crashes.py"))
    (tmp_path / "console").write_text(CONSOLE)
    monkeypatch.syspath_prepend(tmp_path)
    before = known.current()
    assert main(["crash", str(tmp_path / "console")]) == ExitCode.FOUND
    assert capsys.readouterr().out == "no crash\n"
    monkeypatch.setenv("PYTEST_PLUGINS", "acme_crashes")
    try:
        assert main(["crash", str(tmp_path / "console")]) == ExitCode.FOUND
    finally:
        known.use(before)
    assert capsys.readouterr().out.startswith(f"{TITLE}\n")


def test_an_installed_plugin_is_found_by_what_it_requires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_kbisect import plugins

    for name, requires in (("acme", "Pytest_kbisect>=0.1"), ("other", "pytest")):
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\nRequires-Dist: {requires}\n"
        )
        (info / "entry_points.txt").write_text(f"[pytest11]\n{name} = {name}_crashes\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert plugins.others() == ("acme_crashes",)


def test_without_headers_is_refused_in_words() -> None:
    with pytest.raises(UsageError, match="crash format 'x' has no headers, or an empty one: name words"):
        known.KnownFormats([crash_format("x", "x"), *BUILT_IN])
