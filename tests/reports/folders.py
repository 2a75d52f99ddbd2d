"""Results folders made up for the reports' tests, in the format that a bisection writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from pytest_kbisect import properties

REPORT = """WARNING: CPU: 0 PID: {pid} at mm/page_alloc.c:5634 __alloc_pages+0x136/0x1a0
RIP: 0010:__alloc_pages+0x136/0x1a0
RAX: {pid:016x}
Call Trace:
 kmalloc_reserve+0x46/0x90
 pskb_expand_head+0x7b/0x300"""
CRASH = "WARNING in pskb_expand_head"


def sha(number: int) -> str:
    return f"{number:08x}" * 5


class Folder:
    """Writes journal, sessions and result as experiments are added."""

    def __init__(self, path: Path, *, commits: int = 100, fix: bool = False, strategy: str = "bayes") -> None:
        self.path = path
        path.mkdir(parents=True)
        self.commits = commits
        self.fix = fix
        self.records: list[dict[str, Any]] = []
        self.lines = [
            {
                "kind": "subject",
                "format": 1,
                "range": [sha(0), sha(commits)],
                "strategy": strategy,
                "tests": ["repro/x.c::x[run0]"],
            }
        ]

    def test(
        self,
        commit: str,
        runs: str,
        *,
        position: int | None = None,
        title: str = "net: a change",
        console: bytes | None = None,
        spread: list[float] | None = None,
        crash: str = CRASH,
        report: str | None = None,
        **more: Any,
    ) -> None:
        """One experiment; `runs` has a letter for each: c(rashed), o(k), b(oot failed)."""
        made = [self._run(letter, i, crash, report) for i, letter in enumerate(runs)]
        number = sum(r["tested"]["commit"] == commit for r in self.records) + 1
        if console is not None:
            self._session(commit, number, made, console)
        tested = {
            "commit": commit,
            "runs": made,
            "signature": commit + 24 * "0" if runs else "",
            "compiler": "gcc 12",
            "build_error": "" if runs else "x.c:1: error: no",
            "build_seconds": 12.0,
            "test_seconds": 20.0,
            "cached": False,
            **more,
        }
        record: dict[str, Any] = {
            "kind": "tested",
            "runs_asked": len(runs),
            "reason": "halves",
            "tested": tested,
        }
        if position is not None:
            record |= {"position": position, "title": title, "time": 1795402600.0 + 60 * len(self.records)}
        if spread is not None:
            top = [[commit, title, 0.5]]
            record["belief"] = {"candidates": sum(p > 0 for p in spread), "top": top, "spread": spread}
        self.records.append(record)

    @staticmethod
    def _run(letter: str, i: int, crash: str, report: str | None) -> dict[str, Any]:
        outcome = {"c": "crashed", "o": "ok", "b": "boot-failed"}[letter]
        text = REPORT.format(pid=50 + i) if report is None else report
        return {
            "outcome": outcome,
            "title": "" if letter == "o" else crash,
            "alt_titles": [],
            "report": text if letter == "c" else "",
            "seconds": 4.5,
        }

    def _session(self, commit: str, number: int, made: list[dict[str, Any]], console: bytes) -> None:
        name = commit[:12] if number == 1 else f"{commit[:12]}-{number}"
        session = self.path / "sessions" / name
        session.mkdir(parents=True, exist_ok=True)
        cases = []
        for i, run in enumerate(made):
            folder = session / "runs" / f"x-run{i}"
            folder.mkdir(parents=True)
            (folder / "console.log").write_bytes(console)
            end = f"<failure message={quoteattr(run['title'])}/>" if run["outcome"] == "crashed" else ""
            cases.append(
                f'<testcase classname="repro.x.c" name="x[run{i}]" time="4.5"><properties>'
                f'<property name="{properties.RUN}" value="{i}"/>'
                f'<property name="{properties.CONSOLE}" value="/elsewhere/x-run{i}/console.log"/>'
                f"</properties>{end}</testcase>"
            )
        (session / "junit.xml").write_text(
            f'<testsuites><testsuite name="pytest" timestamp="2026-11-23T03:05:10">{"".join(cases)}'
            "</testsuite></testsuites>"
        )

    def write(self, **result: Any) -> Path:
        """The folder with what was added; `result` are keys of result.json, none for an unfinished one."""
        lines = [*self.lines, *self.records]
        (self.path / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        if result:
            told = {
                "schema": 1,
                "kind": "culprit",
                "range": [sha(0), sha(self.commits)],
                "confidence": 0.987,
                "crash": CRASH,
                "revisions_tested": len(self.records),
                "builds": len(self.records),
                "runs": sum(len(r["tested"]["runs"]) for r in self.records),
                "seconds": {"build": 120.0, "test": 300.0},
                "commits": self.commits,
                "fix": self.fix,
                **result,
            }
            (self.path / "result.json").write_text(json.dumps(told))
        return self.path


def culprit(number: int, **more: Any) -> dict[str, Any]:
    """Keys of a result that found a culprit."""
    return {
        "culprit": sha(number),
        "title": "net: skbuff: do not hide failures",
        "parents": [sha(number - 1)],
        "recipients_to": ["a@example.org"],
        "recipients_cc": ["l@example.org"],
        **more,
    }
