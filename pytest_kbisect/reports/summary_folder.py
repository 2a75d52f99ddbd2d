"""The common folder of several bisections: one log, page, mail and JUnit XML, with a section for each test.

    each/NAME/ is the folder of a test's own bisection, with everything that a single one has

What is written here is made of `result.json` and of those folders.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pytest_kbisect.atomic import replacing
from pytest_kbisect.enrichment import attempt
from pytest_kbisect.errors import UsageError
from pytest_kbisect.layout import JOURNAL, LOG, RESULT
from pytest_kbisect.reports import summary, summary_junit, summary_mail, summary_page
from pytest_kbisect.reports.folder import put
from pytest_kbisect.reports.reading import read
from pytest_kbisect.reports.summary_page import Section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


def write(folder: Path, *, also: Path | None = None) -> list[str]:
    """Write the common reports; what went wrong, a line each. `also` is another path for the JUnit XML.

    Raises UsageError where it is no common folder of several bisections that have ended.
    """
    troubles: list[str] = []
    told = summary.read(folder)
    if told is None:
        raise UsageError(
            f"{folder} has no answers of several tests: run the same bisection again to write {RESULT}"
        )
    sections = [
        Section(one, read(folder / one.folder) if (folder / one.folder / JOURNAL).exists() else None)
        for one in told.tests
    ]

    def each(name: str, render: Callable[[], str | bytes]) -> None:
        attempt(f"{name} was not written", lambda: put(folder / name, render()), None, troubles.append)

    each("report.html", partial(summary_page.render, told, sections))
    each("report.eml", partial(summary_mail.render, told, sections))
    for path in (folder / "junit.xml", also):
        if path is not None:
            parts = [(one.name, folder / one.folder / "junit.xml") for one in told.tests]
            step = partial(summary_junit.write, path, parts, told)
            attempt(f"{path.name} was not written", step, None, troubles.append)
    return troubles


def write_log(folder: Path, sections: Iterable[tuple[str, Path]], head: Iterable[str] = ()) -> None:
    """Write the common log: what each test's own log says, under its name."""
    with replacing(folder / LOG) as unfinished, unfinished.open("wb") as log:
        log.writelines(f"# {line}\n".encode("utf-8", "replace") for line in head)
        for name, part in sections:
            log.write(f"\n== {name} ==\n".encode("utf-8", "replace"))
            if (part / LOG).exists():
                log.write((part / LOG).read_bytes())
