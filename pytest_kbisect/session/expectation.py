"""What a run is made for: the crash that is looked for, as far as its titles say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_kbisect.crash import CrashReport


@dataclass(frozen=True, slots=True)
class Expectation:
    """Titles of the crash that is looked for. Without any, nothing is known of it, and nothing meets this."""

    titles: frozenset[str] = frozenset()

    def met_by(self, report: CrashReport) -> bool:
        """Whether a report is this crash, surely enough that a run which shows it need not go on."""
        from pytest_kbisect.crash import CrashReport, same_bug
        from pytest_kbisect.crash.cleaning import clean_title
        from pytest_kbisect.crash.matching import oops_line

        if not self.titles.isdisjoint({report.title, *report.alt_titles}):
            return True
        if any(same_bug(report, CrashReport(title)).kind == "match" for title in self.titles):
            return True
        # Some know a crash by its whole first line.
        return bool(self.titles) and oops_line(report) in map(clean_title, self.titles)
