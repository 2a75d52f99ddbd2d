"""Numbers and hashes in the words of a report."""

from __future__ import annotations

import math


def short(commit: str) -> str:
    """A hash as people read it: 12 digits, as the kernel's `Fixes:` lines have it."""
    return commit[:12]


def percent(probability: float) -> str:
    """A probability; never all or nothing, which no number of runs can show."""
    if probability >= 0.9995:
        return "more than 99.9%"
    return "less than 0.1%" if probability < 0.0005 else f"{100 * probability:.1f}%"


def duration(seconds: float) -> str:
    """Seconds for people: 4.4 s, 48 s, 13 min 42 s, 3 h 36 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    minutes = round(seconds / 60)
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


def count(number: int, noun: str, plural: str = "") -> str:
    """1 commit, 2 commits."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def ranges(numbers: list[int]) -> str:
    """0-3, 5, 7-9."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts)


def halvings(candidates: int) -> int:
    """Tests that halving this many candidates takes."""
    return math.ceil(math.log2(candidates)) if candidates > 1 else 0
