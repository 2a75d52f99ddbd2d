"""What the verdict rule does on bisections whose right answer is known, and what other limits would do.

    python tests/benchmarks/verdict_frontier.py BISECTIONS.jsonl[.gz]

One JSON object a line: `tests` (each with `phase`, `commit`, `verdict`, `runs` as [kind, title] pairs or
`all` for ten equal ones) and `label` (`correct`, `wrong_reason`, `wrong_commit`), `start_time` where known.

Three counts, in per cent: `false bad`, of the logs whose first wrong verdict was a bad one from a crash of
another bug, those where the rule says bad still; `weakened` and `broken`, of the logs that found the right
commit, those in which a verdict becomes skip or its opposite. Printed are the rule as shipped, on all logs,
by year and by subsystem; the whole frontier, from limits on a grid; and a cross-validation: limits
chosen on one half of the logs, measured on the other.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import random
import re
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))
from adapters import verdict_rule

from pytest_kbisect.evidence.verdict import LIMITS, Limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

GRID = {
    "rare": (0.1, 0.2),
    "nearly_always": (0.6, 0.75),
    "constant": (0.65, 0.8),
    "unrelated": (0.5, 0.9, 1.0, 2.0),
    "related": (1.0, 2.0, 9.0),
    "sure": (0.05,),
}
BARS = (6.0, 9.0, 0.9)
SPLITS = 20


@dataclass
class Case:
    """A log: verdicts a rule should give (`keep`), or the one it should not (`avoid`)."""

    year: str
    subsystem: str
    keep: list[tuple[list[tuple[str, str]], list[tuple[str, str]], str]] = field(default_factory=list)
    avoid: bool = False

    def judge(self, limits: Limits) -> str:
        said = [(verdict_rule(reference, runs, limits), was) for reference, runs, was in self.keep]
        if self.avoid:
            return "false bad" if said[0][0] == "bad" else "stopped"
        if any(now not in {was, "skip"} for now, was in said):
            return "broken"
        return "weakened" if any(now == "skip" for now, _ in said) else "kept"


def read(path: Path) -> list[Case]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return [case for line in text.splitlines() if (case := _case(json.loads(line))) is not None]


def _case(log: dict) -> Case | None:
    label, tests = log["label"], log["tests"]
    reference = next((_runs(test) for test in tests if test["phase"] == "original"), [])
    title = next((title for kind, title in reference if kind == "crash"), "")
    word = re.search(r" in _*([a-z0-9]+)_", title)
    case = Case((log.get("start_time") or "before 2022")[:11].split("-")[0], word[1] if word else "?")
    judged = [
        (reference, _runs(test), test["verdict"])
        for test in tests
        if test.get("verdict") in {"good", "bad"} and _runs(test)
    ]
    if (label["wrong_reason"] or "").startswith("T3") and label["wrong_commit"]:
        wrong = [
            (reference, _runs(test), "bad")
            for test in tests
            if test["commit"] == label["wrong_commit"] and test.get("verdict") == "bad" and _runs(test)
        ]
        case.keep, case.avoid = wrong[:1], True
    elif label["correct"]:
        case.keep = judged
    return case if case.keep else None


def _runs(test: dict) -> list[tuple[str, str]]:
    return [tuple(run) for run in test["runs"]] or ([tuple(test["all"])] * 10 if test["all"] else [])


def shares(results: Iterable[str]) -> tuple[float, float, float]:
    """Per cent false bad, weakened, broken."""
    count: dict[str, int] = defaultdict(int)
    for result in results:
        count[result] += 1
    wrong = max(1, count["false bad"] + count["stopped"])
    right = max(1, count["kept"] + count["weakened"] + count["broken"])
    return 100 * count["false bad"] / wrong, 100 * count["weakened"] / right, 100 * count["broken"] / right


def loss(figures: Sequence[float]) -> float:
    """How a choice of limits is judged: each count against what is wanted of it."""
    return sum(figure / bar for figure, bar in zip(figures, BARS, strict=True))


def vars_of(limits: Limits) -> list[tuple[str, float]]:
    return [(name, getattr(limits, name)) for name in Limits.__slots__]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bisections", type=Path)
    cases = read(parser.parse_args().bisections)
    shipped = [case.judge(LIMITS) for case in cases]
    row = "{:<50} {:5} logs   false bad {:4.1f}   weakened {:4.1f}   broken {:4.1f}"
    print(row.format("as shipped", len(cases), *shares(shipped)))
    for name in ("year", "subsystem"):
        groups: dict[str, list[str]] = defaultdict(list)
        for case, result in zip(cases, shipped, strict=True):
            groups[getattr(case, name)].append(result)
        for group, results in sorted(groups.items(), key=lambda item: -len(item[1]))[:8]:
            print(row.format(f"  {name} {group}", len(results), *shares(results)))
    table = [Limits(*values) for values in itertools.product(*(GRID[name] for name in Limits.__slots__))]
    results = {limits: [case.judge(limits) for case in cases] for limits in table}
    print("\nfrontier: limits that no others of the grid beat on all three counts")
    figures = {limits: shares(found) for limits, found in results.items()}
    seen = set()
    for limits, mine in sorted(figures.items(), key=lambda item: item[1]):
        beaten = any(
            other != mine and all(a <= b for a, b in zip(other, mine, strict=True))
            for other in figures.values()
        )
        if not beaten and mine not in seen:
            seen.add(mine)
            changed = ", ".join(f"{k} {v}" for k, v in vars_of(limits) if v != getattr(LIMITS, k))
            print(row.format(f"  {changed or 'as shipped'}"[:50], len(cases), *mine))
    chosen, fixed = [], []
    for seed in range(SPLITS):
        order = list(range(len(cases)))
        random.Random(seed).shuffle(order)
        for fit, test in ((order[::2], order[1::2]), (order[1::2], order[::2])):
            best = min(results, key=lambda limits: loss(shares(results[limits][i] for i in fit)))
            chosen.append(shares(results[best][i] for i in test))
            fixed.append(shares(shipped[i] for i in test))
    print(f"\n{SPLITS} splits: chosen on one half, measured on the other (mean of both ways)")
    print(row.format("  limits chosen on the other half", len(cases), *map(fmean, zip(*chosen, strict=True))))
    print(row.format("  limits as shipped", len(cases), *map(fmean, zip(*fixed, strict=True))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
