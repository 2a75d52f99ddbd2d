"""Draws the diagrams of the documentation: `python docs/pictures.py [FOLDER]` (default: docs/images).

Each picture is an SVG with colours for light and dark. The probabilities in search.svg are those of the real
strategy on a made-up history.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from xml.sax.saxutils import escape

STYLE = """
:root { --paper: #ffffff; --panel: #f3f4f6; --ink: #1b1d20; --soft: #595e66; --line: #b6bbc2;
  --bad: #a8380f; --good: #1c5b9c; --mass: #c9a227; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181b; --panel: #24282d; --ink: #e4e6e9;
  --soft: #a6acb4; --line: #4a5058; --bad: #ff9d73; --good: #8fbdf2; --mass: #c9a83f; } }
text { font: 15px system-ui, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; fill: var(--ink); }
.paper { fill: var(--paper); } .panel { fill: var(--panel); stroke: var(--line); }
.soft { fill: var(--soft); font-size: 13px; } .bold { font-weight: 600; }
.code { font: 13px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.bad { fill: var(--bad); } .good { fill: var(--good); }
.arrow { stroke: var(--soft); stroke-width: 1.6; fill: none; marker-end: url(#tip); }
.rule { stroke: var(--line); } .dash { stroke: var(--line); stroke-dasharray: 4 4; } .mass { fill: var(--mass); }
.cross { stroke: var(--bad); stroke-width: 2.4; fill: none; } .dot { fill: var(--good); }
.skip { fill: var(--paper); stroke: var(--soft); stroke-width: 1.6; } .tip { fill: var(--soft); }
"""


class Picture:
    """An SVG that is put together piece by piece; lengths are in its own pixels."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
            f' height="{height}" role="img">\n<title>{escape(title)}</title>\n<style>{STYLE}</style>\n'
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"'
            ' orient="auto"><path class="tip" d="M0 0 8 4 0 8z"/></marker></defs>\n'
            f'<rect class="paper" width="{width}" height="{height}" rx="8"/>\n'
        )
        self._parts: list[str] = []

    def text(self, x: float, y: float, words: str, style: str = "", anchor: str = "middle") -> None:
        self._parts.append(
            f'<text x="{x}" y="{y}" text-anchor="{anchor}" class="{style}">{escape(words)}</text>'
        )

    def box(self, x: float, y: float, width: float, height: float, *lines: str, style: str = "bold") -> None:
        """A panel with lines of text in its middle, the first one in `style`."""
        self._parts.append(f'<rect class="panel" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>')
        top = y + height / 2 - 9.5 * (len(lines) - 1) + 5
        for at, line in enumerate(lines):
            self.text(x + width / 2, top + 19 * at, line, "soft" if at else style)

    def path(self, d: str, style: str = "arrow") -> None:
        self._parts.append(f'<path class="{style}" d="{d}"/>')

    def bar(self, x: float, y: float, width: float, height: float) -> None:
        shape = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
        self._parts.append(f'<rect class="mass" {shape}/>')

    def crash(self, x: float, y: float) -> None:
        self.path(f"M{x - 5} {y - 5}l10 10m0 -10l-10 10", "cross")

    def passed(self, x: float, y: float) -> None:
        self._parts.append(f'<circle class="dot" cx="{x}" cy="{y}" r="5.5"/>')

    def skipped(self, x: float, y: float) -> None:
        self._parts.append(f'<rect class="skip" x="{x - 5}" y="{y - 5}" width="10" height="10"/>')

    def render(self) -> str:
        return self._head + "\n".join(self._parts) + "\n</svg>\n"


def loop() -> Picture:
    drawn = Picture(860, 230, "The driver, a session, and the evidence between them")
    drawn.box(20, 60, 140, 60, "Driver", "selects a commit")
    drawn.box(700, 60, 140, 60, "Evidence", "all outcomes so far")
    drawn.text(430, 34, "one pytest session for each commit", "soft")
    sessions = (("Build", "or from the store"), ("Guests", "snapshots in QEMU"), ("Runs", "crash, or not"))
    for at, (name, what) in enumerate(sessions):
        drawn.box(200 + 160 * at, 60, 140, 60, name, what)
    for x in (160, 340, 500, 660):
        drawn.path(f"M{x + 2} 90h{36 if x in {160, 660} else 16}")
    drawn.path("M770 122v60h-680v-56")
    drawn.text(430, 172, "what is known now: a probability for each commit", "soft")
    drawn.text(430, 208, "until one commit is likely enough and has passed the checks", "soft")
    return drawn


def search() -> Picture:
    """Probabilities of the real strategy: 40 commits, a bug that shows in one run of two."""
    from pytest_kbisect.evidence.by_kernel import Evidence
    from pytest_kbisect.evidence.outcome import CommitResult, Outcome, Run
    from pytest_kbisect.history.candidates import History
    from pytest_kbisect.strategies.bayes import Bayes
    from pytest_kbisect.strategies.strategy import Answer

    size, culprit, broken, chance = 40, 26, {18, 19, 20}, random.Random(6)
    history = History.line([f"{i:040x}" for i in range(size)])
    strategy, evidence = Bayes(history), Evidence(history)
    steps: list[tuple[int, str, list[float]]] = []
    while not isinstance(what := strategy.decide(evidence), Answer):
        if what.commit in broken:
            tested = CommitResult("", build_error="error")
        else:
            crashes = [what.commit >= culprit and chance.random() < 0.5 for _ in range(what.runs)]
            if what.stop_at_crash and any(crashes):
                crashes = crashes[: crashes.index(True) + 1]
            runs = [
                Run(Outcome.CRASHED if crash else Outcome.OK, title="WARNING in f" if crash else "")
                for crash in crashes
            ]
            tested = CommitResult("", tuple(runs), signature=f"{what.commit}", build_seconds=60)
        evidence.add(what.commit, tested)
        mark = "skip" if tested.build_error else "bad" if any(run.title for run in tested.runs) else "good"
        steps.append((what.commit, mark, [float(p) for p in strategy.likelihood(evidence)]))
    shown = [step for step in steps if step[0] >= 0]
    rows = 6
    later = [step for at, step in enumerate(shown) if step[0] not in {one[0] for one in shown[:at]}][1:]
    picked = [shown[0], *later[: rows - 2], shown[-1]]
    drawn = Picture(760, 60 + 70 * rows, "The probability of each commit after each step")
    drawn.text(150, 28, "oldest commit", "soft", "start")
    drawn.text(740, 28, "newest commit", "soft", "end")
    seen: dict[int, str] = {}
    for row, (_, _, each) in enumerate(picked):
        base, width, peak = 90 + 70 * row, 590 / size, max(each)
        for tested_commit, result, _ in shown[: shown.index(picked[row]) + 1]:
            seen[tested_commit] = "bad" if seen.get(tested_commit) == "bad" else result
        for at, p in enumerate(each):
            if p > 0.002 * peak:
                drawn.bar(150 + at * width + 1, base - 42 * p / peak, width - 2, max(42 * p / peak, 1))
        drawn.path(f"M150 {base + 0.5}h590", "rule")
        for at, kind in seen.items():
            x, y = 150 + (at + 0.5) * width, base + 10
            {"bad": drawn.crash, "good": drawn.passed, "skip": drawn.skipped}[kind](x, y)
        drawn.text(20, base - 14, f"step {shown.index(picked[row]) + 1}", "bold", "start")
        drawn.text(20, base + 5, f"likeliest: {max(each):.0%}", "soft", "start")
    return drawn


def checks() -> Picture:
    drawn = Picture(760, 205, "Three checks of an answer")
    drawn.path("M60 80h640", "rule")
    for at, x in enumerate((110, 220, 330, 440, 550, 660)):
        (drawn.passed if at < 3 else drawn.crash)(x, 80)
    for x, name, what in ((330, "parent", "does not crash,"), (440, "culprit", "crashes")):
        drawn.path(f"M{x} 122V94")
        drawn.text(x, 142, name, "bold")
        drawn.text(x, 162, what, "soft")
    drawn.text(330, 180, "reaches the code", "soft")
    drawn.path("M660 92v26")
    drawn.passed(660, 130)
    drawn.text(650, 162, "B without the culprit", "bold")
    drawn.text(650, 182, "does not crash", "soft")
    drawn.text(110, 55, "A", "bold")
    drawn.text(660, 55, "B", "bold")
    return drawn


def reached() -> Picture:
    drawn = Picture(760, 250, "A run that reached the function, and one that did not")
    for left, title, what in (
        (20, "good", "it ran, and did not crash"),
        (400, "says nothing", "it never ran"),
    ):
        names = ("reproducer", "tun_chr_write_iter()", "pskb_expand_head()")
        for at, name in enumerate(names):
            drawn.box(left + 40, 20 + 56 * at, 220, 36, name, style="code")
        drawn.path(f"M{left + 150} 57v17")
        if left == 20:
            drawn.path(f"M{left + 150} 113v17")
        else:
            drawn.path(f"M{left + 150} 113v18", "dash")
            drawn.text(left + 275, 99, "EINVAL", "code", "start")
        drawn.text(left + 150, 204, title, "bold good" if left == 20 else "bold bad")
        drawn.text(left + 150, 226, f"pskb_expand_head(): {what}", "soft")
    return drawn


def signatures() -> Picture:
    drawn = Picture(760, 210, "Commits and their kernels")
    kernels = {"ad5d": (60, 180), "4401": (300, 420, 540), "1789": (660,)}
    drawn.path("M40 60h690", "rule")
    words = iter(("net: fix", "docs", "tun: fix", "arm: dts", "typo", "net: new"))
    for kernel, places in kernels.items():
        middle = sum(places) / len(places)
        for x in places:
            drawn.path(f"M{x} 72L{middle} 128")
            drawn.passed(x, 60)
            drawn.text(x, 40, next(words), "soft")
        drawn.box(middle - 60, 132, 120, 50, f"{kernel}...", "one kernel", style="code")
    return drawn


def snapshots() -> Picture:
    drawn = Picture(760, 256, "Boots, snapshots and runs")
    drawn.box(20, 90, 110, 50, "Kernel")
    for at, y in enumerate((30, 150)):
        drawn.path(f"M132 115L188 {y + 25}")
        drawn.box(192, y, 110, 50, f"Boot {at}", "some seconds")
        drawn.path(f"M304 {y + 25}h36")
        drawn.box(344, y, 130, 50, "Snapshot", "in memory")
        for run in range(3):
            drawn.path(f"M476 {y + 25}L556 {y - 2 + 27 * run}")
            drawn.text(564, y + 3 + 27 * run, f"run {2 * run + at}", "soft", "start")
    drawn.text(380, 238, "each run has private memory, its own random seed, and the current time", "soft")
    return drawn


def layers() -> Picture:
    rows = (
        ("plugin, options, fixtures, reproducers", "pytest's side"),
        ("commands", "the kbisect command"),
        ("bisection", "driver, search, session launcher, executors"),
        ("reports, strategies", "log, page, mail; which commit next"),
        ("evidence, history", "runs and what they say; the commits of a range"),
        ("session", "one pytest process that tests one commit"),
        ("kernel, guest, crash", "build it, run it, read its console"),
        ("errors, process, host", "shared by all"),
    )
    drawn = Picture(760, 30 + 52 * len(rows), "The layers; imports go down only")
    for at, (names, what) in enumerate(rows):
        y = 20 + 52 * at
        drawn.box(80, y, 330, 38, names, style="code")
        drawn.text(430, y + 24, what, "soft", "start")
    drawn.path(f"M48 24V{52 * len(rows) - 6}")
    drawn.text(48, 52 * len(rows) + 14, "imports", "soft")
    return drawn


def main(folder: Path) -> None:
    """Write every picture."""
    for draw in (loop, search, checks, reached, signatures, snapshots, layers):
        (folder / f"{draw.__name__}.svg").write_text(draw().render())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images")
