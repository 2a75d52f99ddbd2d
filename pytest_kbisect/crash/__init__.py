"""Console text in, crash reports out. Pure, but for symbols: nothing else here reads a file or starts a program."""

from pytest_kbisect.crash.matching import Match, same_bug
from pytest_kbisect.crash.reading import ConsoleReader, parse_console
from pytest_kbisect.crash.report import CrashReport

__all__ = ["ConsoleReader", "CrashReport", "Match", "parse_console", "same_bug"]
