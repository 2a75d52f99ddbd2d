"""Console text in, crash reports out. Pure: nothing here reads a file or starts a program."""

from pytest_kbisect.crash.report import CrashReport

__all__ = ["CrashReport"]
