"""Results of subtests in KTAP and TAP, nested or not, among other output.

KTAP is defined in the kernel's Documentation/dev-tools/ktap.rst. What writers do otherwise is read as well:
KUnit before 5.19 puts "- " before names, and kselftest puts "# " before each line of a test, which nests it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


class Result(StrEnum):
    """How a subtest ended."""

    OK = "ok"
    NOT_OK = "not ok"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Subtest:
    """One result: `path` are the names from the outermost test to this one, `line` is as printed."""

    path: tuple[str, ...]
    result: Result
    line: str

    @property
    def name(self) -> str:
        return ".".join(self.path)


_INDENT: Final = re.compile(r"(?:\t| {2}|# )*")
_RESULT: Final = re.compile(r"(?P<bad>not )?ok\b(?:[ \t]+(?P<number>\d+)\b)?(?P<rest>(?:[ \t].*)?)")
_NAME: Final = re.compile(r"[ \t]*(?:-[ \t]+)?(?P<name>.*?)(?:(?<![^ \t])#[ \t]*(?P<directive>.*))?")
_SKIP: Final = re.compile(r"(?:SKIP|TODO|XFAIL)\b", re.IGNORECASE)
_NAMED: Final = re.compile(r"Subtest:[ \t]*(?P<name>.+)")
_SELFTEST: Final = re.compile(r"selftests: (?P<folder>[^:]+): (?P<test>.+)")
"""kselftest's own name for a test: "selftests: net: fib_tests.sh"."""


class _Reader:
    """Results so far, each with its indentation; those with a larger one than a parent's are the parent's."""

    def __init__(self) -> None:
        self.found: list[tuple[int, Subtest]] = []
        self._named: list[tuple[int, int, str]] = []
        """Parents that have begun: indentation of their subtests, the first of these, the parent's name."""

    def begin(self, indent: int, name: str) -> None:
        self.end_named(indent)
        self._named.append((indent, len(self.found), name))

    def result(self, indent: int, subtest: Subtest) -> None:
        while self._named and self._named[-1][0] > indent:
            self._named.pop()
        first = len(self.found)
        while first and self.found[first - 1][0] > indent:
            first -= 1
        self._nest(first, indent, subtest.path[0])
        self.found.append((indent, subtest))

    def end_named(self, indent: int) -> None:
        """Parents of so indented subtests have no result of their own: the output was cut short."""
        while self._named and self._named[-1][0] >= indent:
            depth, first, name = self._named.pop()
            self._nest(first, depth - 1, name)

    def _nest(self, first: int, indent: int, name: str) -> None:
        self.found[first:] = [(indent, replace(one, path=(name, *one.path))) for _, one in self.found[first:]]


def read(lines: Iterable[str]) -> list[Subtest]:
    """All results in the order in which they were printed; a parent comes after its subtests."""
    reader = _Reader()
    for line in lines:
        prefix = _INDENT.match(line)
        assert prefix is not None
        indent = len(prefix[0].replace("\t", "    ").replace("# ", "    "))
        text = line[prefix.end() :].rstrip()
        if result := _RESULT.fullmatch(text):
            reader.result(indent, _subtest(result, line))
        elif prefix[0].endswith("# ") and (named := _NAMED.fullmatch(text)):
            reader.begin(indent - 4, named["name"].strip())
    reader.end_named(0)
    return [subtest for _, subtest in reader.found]


def _subtest(result: re.Match[str], line: str) -> Subtest:
    words = _NAME.fullmatch(result["rest"])
    assert words is not None
    name = words["name"].strip() or f"subtest {result['number'] or '?'}"
    if selftest := _SELFTEST.fullmatch(name):
        name = f"{selftest['folder']}:{selftest['test']}"
    skipped = _SKIP.match(words["directive"] or "")
    end = Result.SKIP if skipped else Result.NOT_OK if result["bad"] else Result.OK
    return Subtest((name,), end, line.strip())
