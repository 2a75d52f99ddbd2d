"""Which of the reports that one kernel's runs show belong to one failure, and which are another bug's."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kbisect.symptoms.symptom import OTHER_NAME as OTHER

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pytest_kbisect.evidence.outcome import Report, Run

_BY_ITSELF_ONLY: Final = frozenset({"TEST", "HANG", "NO_OUTPUT", "LOST_CONNECTION", "REBOOT"})
"""Types of what may be no more than a consequence of another report in the same run."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The failure that runs show, by the titles of their reports.

    It is known by its `principal`. In every run the `joined` come with that; at times the `followers` do.
    `otherwise` are seen in runs of their own: other ways in which it shows. The `independent` ones come
    with it and without it: they are another bug's.
    """

    principal: str = ""
    joined: tuple[str, ...] = ()
    followers: tuple[str, ...] = ()
    otherwise: tuple[str, ...] = ()
    independent: tuple[str, ...] = ()
    runs: Mapping[str, int] | None = None
    """How many runs showed each title."""

    @property
    def several(self) -> bool:
        """Whether runs show several reports, so that it is a question which of them are the bug's."""
        return bool(self.joined or self.followers or self.independent)

    @property
    def counted(self) -> frozenset[str]:
        """Titles each of which is an appearance of the failure."""
        return frozenset(filter(None, (self.principal, *self.otherwise)))


def failure_of(runs: Iterable[Run], without: Collection[str] = ()) -> Failure:
    """What these runs have in common. Reports of titles `without` count for nothing.

    That a report is missing says something of runs only that nothing has cut short.
    """
    shown = [(tuple(dict.fromkeys(_titles(run, without))), run.whole) for run in runs]
    counts = Counter(title for titles, _ in shown for title in titles)
    if not counts:
        return Failure()
    principal = counts.most_common(1)[0][0]  # of several the one that came first
    groups: dict[str, list[str]] = {"joined": [], "followers": [], "otherwise": [], "independent": []}
    for title in counts:
        if title == principal:
            continue
        together = sum(title in titles and principal in titles for titles, _ in shown)
        alone = sum(title in titles and principal not in titles for titles, whole in shown if whole)
        missing = sum(title not in titles and principal in titles for titles, whole in shown if whole)
        if not together:
            groups["otherwise"].append(title)
        elif alone:
            groups["independent"].append(title)
        else:
            groups["followers" if missing else "joined"].append(title)
    return Failure(principal, runs=dict(counts), **{name: tuple(titles) for name, titles in groups.items()})


def _titles(run: Run, without: Collection[str]) -> list[str]:
    reports = naming_a_bug(run.shown)
    return [report.title for report in reports if report.title not in without]


def naming_a_bug(reports: Collection[Report]) -> tuple[Report, ...]:
    """Those of a run's reports that name a bug: what may only follow from others does not, beside them."""
    wanted = tuple(report for report in reports if report.symptom != OTHER)
    own = tuple(report for report in wanted if report.type not in _BY_ITSELF_ONLY)
    return own or wanted
