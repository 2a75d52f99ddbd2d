"""`kbisect crash`: read the crashes of console logs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from pytest_kbisect.crash import CrashReport


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "crash",
        help="print the crashes in console logs",
        description="Print the crash reports in console logs, or in standard input: title, type, key frame, text. "
        "Logs may be compressed (gzip, bzip2, xz, zstd) or in UTF-16.",
    )
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="a console log (default, or -: standard input)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object for each file")
    parser.add_argument(
        "--vmlinux",
        type=Path,
        metavar="FILE",
        help="vmlinux of the kernel that crashed, with debug information: adds file:line and inlined functions",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the reports of every file; 0 also where there are none."""
    from pytest_kbisect import plugins
    from pytest_kbisect.commands.consolefile import console_text
    from pytest_kbisect.crash import known, parse_console
    from pytest_kbisect.errors import ExitCode, UsageError

    vmlinux: Path | None = arguments.vmlinux
    if vmlinux is not None and not vmlinux.is_file():
        raise UsageError(f"{vmlinux}: no such file: give the vmlinux of the kernel that crashed")
    if plugins.others():
        known.use(known.registered(plugins.load()))
    for name in arguments.files or ["-"]:
        try:
            data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read {name}: {error.strerror}") from error
        reports = parse_console(console_text(data, "standard input" if name == "-" else name))
        texts = [_symbolized(report.report, vmlinux) for report in reports]
        if arguments.json:
            _print_json(name, reports, texts)
        else:
            _print_text(name if len(arguments.files) > 1 else "", reports, texts)
    return ExitCode.FOUND


def _symbolized(text: str, vmlinux: Path | None) -> str:
    if vmlinux is None:
        return text
    from pytest_kbisect.crash.symbolize import symbolize

    result = symbolize(text, vmlinux)
    if not result.done:
        print(f"kbisect: {result.note}", file=sys.stderr)
    return result.report


def _print_json(name: str, reports: tuple[CrashReport, ...], texts: list[str]) -> None:
    import json

    def plain(report: CrashReport, text: str) -> dict[str, Any]:
        return {
            "title": report.title,
            "alt_titles": list(report.alt_titles),
            "type": report.type,
            "frame": report.frame,
            "corrupted": report.corrupted,
            "corrupted_reason": report.corrupted_reason,
            "suppressed": report.suppressed,
            "panicked": report.panicked,
            "executor": report.executor,
            "report": text,
            "start": report.start,
            "end": report.end,
        }

    found = [plain(report, text) for report, text in zip(reports, texts, strict=True)]
    print(json.dumps({"file": name, "reports": found}))


def _print_text(name: str, reports: tuple[CrashReport, ...], texts: list[str]) -> None:
    from pytest_kbisect.crash.guilty import guilty_file

    if name:
        print(f"== {name}")
    if not reports:
        print("no crash")
    for report, text in zip(reports, texts, strict=True):
        print(report.title)
        facts = {
            "also": "; ".join(report.alt_titles),
            "type": report.type,
            "key frame": report.frame,
            "guilty file": guilty_file(text),
            "corrupted": report.corrupted_reason,
            "suppressed": "yes" if report.suppressed else "",
            "bytes": f"{report.start}-{report.end}",
        }
        for word, fact in facts.items():
            if fact:
                print(f"  {word}: {fact}")
        print()
        print(text)
        print()
