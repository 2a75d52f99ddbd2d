"""report.html: what it says, that nothing in a console gets out of its box, and how fast it opens."""

from __future__ import annotations

import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from folders import CRASH, Folder, culprit, sha
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_kbisect.reports import page
from pytest_kbisect.reports.reading import read
from pytest_kbisect.reports.report_model import ReportModel
from pytest_kbisect.reports.result import Result

VOID = {"meta", "br", "circle", "path", "rect", "line", "use"}
HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<svg onload=document.title='owned'>",
    "</pre></details><img src=x onerror=\"document.title='owned'\">",
    "'\"><a href=javascript:document.title='owned'>x</a>",
    "{{ 7 * 7 }}{% include '/etc/passwd' %}",
    "\x1b[2J\x1b]0;owned\x07\x00\x08\x85\u202eevil\u2066",
)


class Checked(HTMLParser):
    """Reads a page strictly: every element is closed in order; keeps tags, attributes and ids."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def headings(self) -> list[int]:
        return [int(tag[1]) for tag, _ in self.tags if re.fullmatch("h[1-6]", tag)]

    def said(self) -> str:
        return " ".join(" ".join(self.text).split())


def search(path: Path, **result: object) -> Folder:
    """A small search that found commit 7 of 20, with consoles and beliefs."""
    folder = Folder(path, commits=20)
    console = b"booting\r\n[    1.0] hello\r\n"
    flat = [0.05] * 20
    near = [0.0] * 5 + [0.1, 0.8, 0.1] + [0.0] * 12
    folder.test(sha(20), "ccc", position=19, console=console, spread=flat, title="the bad end")
    folder.test(sha(0), "ooo", position=-1, console=console, spread=flat, title="the good end")
    folder.test(sha(10), "", position=9, spread=flat, title="does not build")
    folder.test(sha(7), "cco", position=6, console=console, spread=near, title="net: skbuff: the one")
    folder.test(sha(6), "ooo", position=5, console=console, spread=near, title="net: before")
    folder.write(**culprit(7, **result))
    return folder


def test_the_answer_comes_first(tmp_path: Path) -> None:
    seen = {"culprit": [2, 3], "parent": [0, 3], "revert": "passed", "revert_runs": [0, 10]}
    found = Checked(page.render(read(search(tmp_path / "f", confirmation=seen).path)))
    said = found.said()
    start = said[said.index("Kernel bisection") : said.index("Each strip")]
    for words in (
        "net: skbuff: do not hide failures",
        "is the first bad commit of 20 commits",
        "The probability that this answer is right is 98.7%.",
        "2 of 3 runs crashed",
        "0 of 10 runs crashed: the crash is gone.",
        f"#regzbot introduced: {sha(7)}",
        "a@example.org",
    ):
        assert words in start, words


def test_every_commit_has_its_runs_and_consoles(tmp_path: Path) -> None:
    found = Checked(page.render(read(search(tmp_path / "f").path)))
    said = found.said()
    assert "x.c:1: error: no" in said
    assert said.count("[ 1.0] hello") == 12
    assert f"{CRASH} ( runs 0-2 )" in said.replace("(runs 0-2)", "( runs 0-2 )")
    assert "the same crash as at" in said
    links = [attrs["href"] for tag, attrs in found.tags if tag == "a" and (attrs["href"] or "")[:1] != "#"]
    assert len(links) == 12
    assert all((tmp_path / "f" / str(link)).is_file() for link in links)


def test_every_report_of_a_run_is_shown(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "f")
    folder.test(sha(9), "cc", position=8)
    first = folder.records[-1]["tested"]["runs"][0]
    mask = {"title": "WARNING in mask", "report": "the other text"}
    first["reports"] = [mask, {"title": CRASH, "report": first["report"]}]
    folder.test(sha(5), "o", position=4)
    told = {"commit": sha(5), "verdict": "skip", "crashed": 0, "ok": 0, "silent": 1}
    said = Checked(page.render(read(folder.write(tested=[told])))).said()
    assert f"crashed: WARNING in mask, {CRASH}" in said
    assert "the other text" in said
    assert "no run reached the bug's code" in said


def test_it_is_made_for_everybody(tmp_path: Path) -> None:
    text = page.render(read(search(tmp_path / "f").path))
    found = Checked(text)
    tags = [tag for tag, _ in found.tags]
    assert {"header", "nav", "main", "footer"} <= set(tags)
    assert found.headings[0] == 1
    assert found.headings.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(found.headings, found.headings[1:], strict=False))
    ids = [attrs["id"] for _, attrs in found.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for tag, attrs in found.tags:
        if tag in {"a", "use"} and (attrs["href"] or "").startswith("#"):
            assert (attrs["href"] or "")[1:] in ids, attrs
        if tag == "svg":
            assert attrs.get("aria-label") or "aria-hidden" in attrs or "aria-hidden" in text, attrs
        if tag == "th":
            assert attrs["scope"] in {"row", "col"}
    assert tags.count("table") == tags.count("caption")
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_it_needs_nothing_else(tmp_path: Path) -> None:
    text = page.render(read(search(tmp_path / "f").path))
    found = Checked(text)
    assert not {"script", "img", "link", "iframe", "object"} & {tag for tag, _ in found.tags}
    assert not re.search(r"url\(|@import|https?://", text)
    assert "default-src 'none'" in text


def contrast(one: str, other: str) -> float:
    """WCAG 2.1's ratio of two colours, #rgb or #rrggbb."""

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_all_text_can_be_read(tmp_path: Path) -> None:
    style = page.render(read(search(tmp_path / "f").path)).partition("<style>")[2].partition("</style>")[0]
    palettes = [
        dict(re.findall(r"--(\w+): (#\w+)", block)) for block in re.findall(r":root \{([^}]*)\}", style)
    ]
    assert len(palettes) == 3  # light, dark, printed
    for colours in palettes:
        for name in ("ink", "soft", "bad", "good", "skip", "link"):
            for ground in ("paper", "panel"):
                assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground, colours)


@pytest.mark.parametrize("words", HOSTILE)
def test_nothing_from_outside_becomes_markup(tmp_path: Path, words: str) -> None:
    folder = Folder(tmp_path / "f", commits=20)
    console = b"\xff\xfe" + words.encode() + b"\r\n"
    plain = page.render(read(search(tmp_path / "plain").path))
    folder.test(sha(20), "ccc", position=19, console=console, title=words, crash=words, report=words)
    folder.test(sha(0), "ooo", position=-1, console=console, title=words)
    folder.test(sha(10), "", position=9, title=words, build_error=words, compiler=words)
    folder.test(sha(7), "c", position=6, console=console, title=words)
    folder.write(
        **culprit(7, title=words, crash=words, crash_report=words, recipients_to=[words], command=[words])
    )
    (folder.path / "config").write_text(words)
    found = Checked(page.render(read(folder.path)))
    known = {tag for tag, _ in Checked(plain).tags}
    assert {tag for tag, _ in found.tags} <= known
    assert not [name for _, attrs in found.tags for name in attrs if name.startswith("on")]
    assert not [attrs for _, attrs in found.tags if "javascript" in str(attrs.get("href"))]
    assert "49" not in re.findall(r"7 \* 7|\b49\b", found.said())
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", found.said())


@given(
    title=st.text(),
    crash=st.text(),
    report=st.text(),
    reason=st.text(),
    kind=st.sampled_from(["culprit", "candidates", "x"]),
)
@settings(max_examples=30, deadline=None)
def test_any_text_makes_a_page(title: str, crash: str, report: str, reason: str, kind: str) -> None:
    found = Result(kind=kind, range=(sha(0), sha(9)), culprit=sha(5), title=title, crash=crash, reason=reason)
    Checked(page.render(ReportModel(Path("/nowhere"), found, crash_report=report)))


@pytest.mark.parametrize(
    "kind", ["candidates", "not-reproduced", "bad-at-good-end", "untestable", "not-fixed"]
)
def test_without_an_answer_it_says_why(tmp_path: Path, kind: str) -> None:
    folder = search(tmp_path / "f")
    folder.write(kind=kind, reason="for this reason", candidates=[[sha(i), "t", 0.25] for i in range(4)])
    said = Checked(page.render(read(folder.path))).said()
    assert "for this reason" in said
    assert "is the first bad commit" not in said


def test_an_unfinished_bisection_has_a_page(tmp_path: Path) -> None:
    folder = search(tmp_path / "f")
    (folder.path / "result.json").unlink()
    said = Checked(page.render(read(folder.path))).said()
    assert "This bisection has not finished" in said
    assert "net: skbuff: the one" in said


def test_strips_are_enlarged_as_the_range_narrows(tmp_path: Path) -> None:
    from pytest_kbisect.reports import picture

    folder = Folder(tmp_path / "f", commits=1000)
    for at, runs in ((999, "c"), (-1, "o"), (499, "c"), (249, "o"), (260, "c"), (255, "o"), (256, "c")):
        folder.test(sha(at + 1), runs, position=at)
    rows = picture.rows(read(folder.write(**culprit(257))))
    assert [row.left for row in rows] == [
        *("1000 commits", "1000 commits", "500 commits", "250 commits", "11 commits", "5 commits", "1 commit")
    ]
    assert rows[4].scale == ""
    assert rows[5].scale.startswith("Zoomed in: ")
    (bar,) = rows[6].bars
    assert 0 < bar.x < bar.x + bar.width < 100
    assert [mark.now for mark in rows[6].marks].count(True) == 1


def test_looking_for_the_range_shows_its_ends_only(tmp_path: Path) -> None:
    from pytest_kbisect.reports import picture

    folder = Folder(tmp_path / "f", commits=50)
    for commit, runs, at in (
        (sha(50), "c", 3),
        (sha(90), "c", 2),
        (sha(0), "o", 1),
    ):  # releases, as they are counted
        folder.test(commit, runs, position=at)
        folder.records[-1]["phase"] = "range"
    folder.test(sha(25), "c", position=24)
    rows = picture.rows(read(folder.write(**culprit(25))))
    assert [[mark.x for mark in row.marks] for row in rows] == [[98.5], [], [98.5, 1.5], [98.5, 1.5, 50.0]]


def test_a_revert_that_crashes_is_a_doubt(tmp_path: Path) -> None:
    seen = {"revert": "crashed", "revert_runs": [2, 2]}
    said = Checked(page.render(read(search(tmp_path / "f", confirmation=seen).path))).said()
    assert "Doubtful. With the commit reverted on top of" in said


def test_old_folders_have_no_picture(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "f")
    folder.test(sha(100), "c")
    folder.test(sha(7), "c")
    found = Checked(page.render(read(folder.write(**culprit(7, commits=None)))))
    assert not [attrs for tag, attrs in found.tags if tag == "svg" and attrs.get("class") == "strip"]


def large(path: Path) -> Path:
    """60 commits with 20 runs each, and a console of 20 KiB of each."""
    folder = Folder(path, commits=9000)
    console = b"".join(b"[%12.6f] a line of a console, as long as they are\n" % (i / 7) for i in range(400))
    for i in range(60):
        folder.test(sha(9000 - i), "c" * 20, position=8999 - i, console=console, spread=[0.01] * 100)
    return folder.write(**culprit(8950))


def test_a_large_one_stays_small(tmp_path: Path) -> None:
    assert len(page.render(read(large(tmp_path / "f"))).encode()) < 5 << 20


def run_chromium(chromium: str, tmp_path: Path, *words: str) -> str:
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    base = [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", profile]
    return subprocess.run([*base, *words], check=True, capture_output=True, text=True, timeout=120).stdout


def test_a_browser_shows_hostile_text_as_text_within_a_second(chromium: str, tmp_path: Path) -> None:
    """The browser reads it as meant, no script of anybody's runs, and it is laid out within a second."""
    folder = large(tmp_path / "f")
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    lines[1]["title"] = HOSTILE[0]
    lines[1]["tested"]["runs"][0] |= {"title": HOSTILE[2], "report": HOSTILE[1]}
    (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "report.html").write_text(page.render(read(folder)))
    # This copy may run scripts: ours is the clock, and one that got out of a console would be seen.
    timed = (
        (folder / "report.html")
        .read_text()
        .replace("default-src 'none'", "default-src 'none'; script-src 'unsafe-inline'")
    )
    clock = (
        "<script>addEventListener('load', () => {const root = document.documentElement;"
        "root.dataset.wide = root.scrollWidth - innerWidth; root.dataset.ms = performance.now()})</script>"
    )
    (folder / "timed.html").write_text(timed.replace("</head>", f"{clock}</head>"))
    dom = run_chromium(
        chromium, tmp_path, "--window-size=500,900", "--dump-dom", f"file://{folder}/timed.html"
    )
    milliseconds = re.search(r'data-ms="([\d.]+)"', dom)
    wide = re.search(r'data-wide="(-?\d+)"', dom)
    assert milliseconds
    assert wide
    assert float(milliseconds[1]) < 5000  # a second where nothing else runs
    assert int(wide[1]) <= 0
    assert "owned" not in dom.partition("</title>")[0]
    assert dom.count("<script") == 1
    assert "<img" not in dom
