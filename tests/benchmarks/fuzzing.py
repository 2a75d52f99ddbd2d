"""Fuzz the reading of consoles, led by coverage.

    pip install atheris
    python tests/benchmarks/fuzzing.py CORPUS [-max_total_time=1800] [libFuzzer's options]

CORPUS is a folder that libFuzzer keeps inputs in; an empty one is filled with the project's own logs. An
input is a console; its length says in what pieces it is also fed. Fails where reading raises, takes
longer than linear time, gives other reports in pieces than at once, offsets outside of the console, or
titles that are not titles. What it finds belongs into tests/crash/test_reading.py.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pytest_kbisect.crash"]):
    from pytest_kbisect.crash import ConsoleReader, parse_console, same_bug
    from pytest_kbisect.crash.formats.headers import WORDS as HEADERS

LOGS = Path(__file__).parents[1] / "crash" / "logs"
LONGEST = 4096
SECONDS_A_BYTE = 2e-5
"""Ten times what instrumented code takes for the worst of the seeds on a busy machine."""
WORDS = (
    "Call Trace:",
    "Call trace:",
    "Backtrace:",
    "backtrace (crc 12345678):",
    "RIP: 0010:kbx+0x1/0x2",
    "pc : kbx+0x1/0x2",
    " kbx+0x1/0x2",
    " ? kbx+0x1/0x2",
    " _RNvXCs1234_7mycrateNtB2_3BarNtB2_5Trait3run+0x1/0x2",
    " _RINvCs1234_7mycrate3foojE+0x1/0x2",
    " _ZN3kbx5Queue4pushEi+0x1/0x2",
    ", at: kbx+0x1/0x2",
    "Allocated by task 1:",
    "Freed by task 1:",
    "Uninit was created at:",
    "Read of size 8 at addr ffff888004b41c18",
    "[   12.000001][ T4242] ",
    "[   12.000001] ",
    "4,717,12000001,-,caller=T412;",
    "---[ end trace 0000000000000000 ]---",
    "** replaying previous printk message **",
    "Sending NMI from CPU 0 to CPUs 1:",
    "should_fail+0x1/0x2",
    "[inline]",
    "Linux version 6.1.0",
)


def read(data: bytes) -> None:
    begin = time.process_time()
    reports = parse_console(data)
    seconds = time.process_time() - begin
    assert seconds < 0.2 + len(data) * SECONDS_A_BYTE, f"{len(data)} bytes took {seconds:.2f} s"
    size = 1 + len(data) % 509
    reader = ConsoleReader()
    pieces = [report for at in range(0, len(data), size) for report in reader.feed(data[at : at + size])]
    pieces += reader.finish()
    assert sorted(report.start for report in pieces) == [report.start for report in reports]
    for report in reports:
        assert 0 <= report.start <= report.end <= len(data)
        assert report.title.isascii()
        assert report.title.isprintable()
        assert len(report.title) <= 120
        assert report.corrupted == bool(report.corrupted_reason)
    for report in reports[1:4]:
        assert same_bug(report, reports[0]).kind == same_bug(reports[0], report).kind


def main() -> None:
    corpus = Path(sys.argv[1])
    corpus.mkdir(parents=True, exist_ok=True)
    if not any(corpus.iterdir()):
        for path in LOGS.iterdir():
            console = path.read_bytes().partition(b"\n\n")[2]
            (corpus / path.name).write_bytes(console[:LONGEST])
            (corpus / f"{path.name}-end").write_bytes(console[-LONGEST:])
    with tempfile.NamedTemporaryFile("w", suffix=".dict") as words:
        for word in (*WORDS, *(header.text for header in HEADERS)):
            words.write('"' + "".join(f"\\x{byte:02x}" for byte in word.encode()) + '"\n')
        words.flush()
        atheris.Setup([*sys.argv, f"-dict={words.name}", f"-max_len={LONGEST}"], read)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
