"""Which release tags to test for a good end, and in which order, if the user names no good end.

syzkaller walks back from the newest release before the bad commit and tests a selection of tags until one is
good. Every test costs a build. Walking back is efficient because most bugs are young, but the stride should
double with each step: after k bad releases there is an even chance that the bug is more than twice as old.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pytest_kbisect.evidence.outcome import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_FINAL = 999
"""The candidate number of a full release: it sorts after all release candidates."""
_RELEASE = re.compile(r"v(\d+)\.(\d+)(?:-rc(\d+))?(?:\.(\d+))?")


@dataclass(frozen=True, order=True)
class Release:
    """A release tag. Tags sort in release order; candidates come before their release."""

    major: int
    minor: int
    candidate: int
    patch: int
    tag: str

    @property
    def is_candidate(self) -> bool:
        return self.candidate < _FINAL

    @property
    def is_stable(self) -> bool:
        """Whether this is a stable release, such as v6.1.90 of v6.1."""
        return self.patch > 0


def parse_release(tag: str) -> Release | None:
    """The release that a tag names; None for other tags."""
    found = _RELEASE.fullmatch(tag)
    if not found:
        return None
    major, minor, candidate, patch = found.groups()
    return Release(int(major), int(minor), int(candidate or _FINAL), int(patch or 0), tag)


def releases(tags: Iterable[str], oldest: str = "") -> tuple[Release, ...]:
    """The full releases among the tags, newest first, without duplicates. Only those newer than `oldest`.

    `oldest` is a tag, for example the last release that today's compilers do not build.
    """
    found = {release for tag in set(tags) if (release := parse_release(tag.strip()))}
    cut = parse_release(oldest) if oldest else None
    kept = (r for r in found if not r.is_candidate and (cut is None or r > cut))
    return tuple(sorted(kept, reverse=True))


def pick(newest_first: Sequence[Release]) -> tuple[Release, ...]:
    """The releases worth testing, newest first: exactly syzkaller's choice.

    Stable releases: the two newest, and the middle one if there are more than five. Main releases: the newest
    three, then every second, from the eleventh on every third, and always the oldest.
    """
    patches = [r for r in newest_first if r.is_stable]
    mains = [r for r in newest_first if not r.is_stable]
    chosen = patches[:2]
    if len(patches) > 5:
        chosen.append(patches[len(patches) // 2])
    for i, release in enumerate(mains):
        step = 1 if i < 3 else 2 if i < 11 else 3
        if i % step == 0 or i == len(mains) - 1:
            chosen.append(release)
    return tuple(chosen)


class WalkEnd(StrEnum):
    """How a walk back through the releases ended."""

    FOUND = "found"
    OLDEST_BAD = "oldest-bad"
    UNTESTABLE = "untestable"
    NO_TAGS = "no-tags"


@dataclass(frozen=True)
class Walk:
    """The next tag to test, or the end of the walk. `good` and the oldest `bad` release bound the range.

    Without a bad release, the bad end bounds the range.
    """

    test: str | None = None
    end: WalkEnd | None = None
    good: str | None = None
    bad: str | None = None


def walk(chosen: Sequence[Release], verdicts: Mapping[str, Verdict]) -> Walk:
    """The next step of a walk over these releases (newest first), given the verdicts so far.

    The stride doubles while releases are bad: 1, 2, 4 ... of the chosen releases. The number of tests is thus
    logarithmic in the number of releases. The releases in between need no tests, because halving the commits
    between them costs no more than halving the releases. Untestable releases are skipped.
    """
    if not chosen:
        return Walk(end=WalkEnd.NO_TAGS)
    bad: str | None = None
    at, stride = 0, 1
    while at < len(chosen):
        tag = chosen[at].tag
        verdict = verdicts.get(tag)
        if verdict is None:
            return Walk(test=tag, bad=bad)
        if verdict is Verdict.GOOD:
            return Walk(end=WalkEnd.FOUND, good=tag, bad=bad)
        if verdict is Verdict.SKIP:
            at += 1
            continue
        bad = tag
        # The oldest release is always tested before giving up.
        at = min(at + stride, len(chosen) - 1) if at < len(chosen) - 1 else len(chosen)
        stride *= 2
    if bad is not None and verdicts.get(chosen[-1].tag) is Verdict.BAD:
        return Walk(end=WalkEnd.OLDEST_BAD, bad=bad)
    return _passed_over(chosen, verdicts, bad)


def _passed_over(chosen: Sequence[Release], verdicts: Mapping[str, Verdict], bad: str | None) -> Walk:
    """The next step if the oldest releases are untestable: those that a stride skipped, oldest first."""
    oldest_bad = next((i for i, r in enumerate(chosen) if r.tag == bad), -1)
    for tag in (r.tag for r in reversed(chosen[oldest_bad + 1 :])):
        verdict = verdicts.get(tag)
        if verdict is None:
            return Walk(test=tag, bad=bad)
        if verdict is Verdict.GOOD:
            return Walk(end=WalkEnd.FOUND, good=tag, bad=bad)
        if verdict is Verdict.BAD:  # and so are all newer releases
            return Walk(end=WalkEnd.UNTESTABLE, bad=tag)
    return Walk(end=WalkEnd.UNTESTABLE, bad=bad)
