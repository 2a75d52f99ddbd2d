"""The folder of a bisection: everything that explains it, repeats it and can be shown, in one place.

    report.html report.eml bisect.log git-bisect.log junit.xml result.json journal.jsonl
    config minimized.config configurations.log repro/ repeat.sh repeat/ sessions/ kernels/ each/

Each is written by itself: what cannot be written is said, and keeps nothing else from being written.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect import arch
from pytest_kbisect.atomic import replacing
from pytest_kbisect.enrichment import attempt
from pytest_kbisect.layout import CONFIG, REPRODUCERS
from pytest_kbisect.reports import consoles, gitlog, junit, mail, page, repeat
from pytest_kbisect.reports.reading import read
from pytest_kbisect.reproducer_kinds import BUILT_IN, kind_of, needs_of, prepare
from pytest_kbisect.symptoms.build_failure import NAME as BUILD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pytest_kbisect.arch import Architecture
    from pytest_kbisect.reports.report_model import ReportModel
    from pytest_kbisect.reproducer_kinds import ReproducerKind

_REPORTS: dict[str, Callable[[ReportModel], str | bytes]] = {
    "report.html": page.render,
    "report.eml": mail.render,
    "git-bisect.log": gitlog.text,
}


def write(
    folder: Path,
    cache: Path,
    kinds: Sequence[ReproducerKind] = BUILT_IN,
    architectures: Sequence[Architecture] = arch.BUILT_IN,
    *,
    also: Path | None = None,
) -> list[str]:
    """Write all reports of a bisection with journal and result in `folder`; what went wrong, a line each.

    The kernel that crashed and its configuration are copied from the store in `cache`, where they
    still are. Reproducers of `kinds` can be in repeat.sh. `also` is another path for the JUnit XML.
    Raises UsageError where it is no folder of results.
    """
    troubles: list[str] = []

    def each(what: str, step: Callable[[], None]) -> None:
        attempt(what, step, None, troubles.append)

    story = read(folder)
    with contextlib.ExitStack() as held:
        kernel = attempt(
            "the kernel that crashed was not looked up",
            lambda: held.enter_context(_kernel(story, cache)),
            None,
            troubles.append,
        )
        each("the consoles were not cut", partial(_bound, story))
        each(f"{REPRODUCERS}/ was not written", partial(_copy_reproducers, story))
        if kernel is not None:
            each(f"{CONFIG} was not written", partial(_copy, kernel / "config", folder / CONFIG))
        story = read(folder)  # with what was copied
        for name, render in _REPORTS.items():
            each(f"{name} was not written", partial(_render, folder / name, render, story))
        for path in (folder / "junit.xml", also):
            if path is not None:
                each(f"{path.name} was not written", partial(_junit, path, story))
        # Last, because it is the largest: a disk that is nearly full keeps the answer.
        each(
            "repeat.sh was not written",
            lambda: _repeat(story, kernel, cache, kinds, arch.named(story.result.arch, architectures)),
        )
    return troubles


def _render(path: Path, render: Callable[[ReportModel], str | bytes], story: ReportModel) -> None:
    put(path, render(story))


def put(path: Path, content: str | bytes) -> None:
    """Write it whole or not at all; nothing to write takes away what an earlier answer left."""
    if not content:
        path.unlink(missing_ok=True)
        return
    with replacing(path) as unfinished:
        unfinished.write_bytes(content.encode("utf-8", "replace") if isinstance(content, str) else content)


def _copy(source: Path, target: Path) -> None:
    put(target, source.read_bytes())


def _bound(story: ReportModel) -> None:
    consoles.bound(path for one in story.revisions for run in one.runs for path in run.consoles)


@contextlib.contextmanager
def _kernel(story: ReportModel, cache: Path) -> Iterator[Path | None]:
    """The folder in the store of the kernel that crashed, in use meanwhile; None where it is gone."""
    from pytest_kbisect.kernel.store import Store

    crashing = story.crashing
    # A result of an earlier version has only the signatures of all configurations together.
    signature = story.result.crash_signature or (crashing.signature.partition("+")[0] if crashing else "")
    entry = Store(cache / "kernels").find(signature) if signature else None
    if entry is None:
        yield None
        return
    with entry:
        yield entry.folder


def _copy_reproducers(story: ReportModel) -> None:
    """Keep reproducers and patches as they were; one that was changed since is not what found the answer."""
    taken: set[str] = set()
    for name, digest in (*story.sources.items(), *story.patches.items()):
        _copy_unchanged(Path(name), digest, story.folder / REPRODUCERS / _free_name(Path(name), taken))
    for name, digest in story.included.items():
        _copy_unchanged(Path(name), digest, story.folder / REPRODUCERS / _as_included(name, story.sources))


def _copy_unchanged(source: Path, digest: str, copy: Path) -> None:
    if source.is_file() and hashlib.sha256(source.read_bytes()).hexdigest().startswith(digest):
        copy.parent.mkdir(parents=True, exist_ok=True)
        _copy(source, copy)


def _as_included(header: str, sources: Iterable[str]) -> Path:
    """Where a header lies as seen from the reproducers; by its name where that is not below one."""
    path = Path(os.path.normpath(header))  # the compiler says repro/../common.h
    folders = {Path(source).parent.absolute() for source in sources}
    below = (path.relative_to(folder) for folder in folders if path.is_relative_to(folder))
    return next(below, Path(path.name))


def _free_name(source: Path, taken: set[str]) -> str:
    """A name for its copy; reproducers of different folders may have the same, and keep what they got."""
    names = (f"{source.stem}{f'-{number}' if number > 1 else ''}{source.suffix}" for number in count(1))
    name = next(name for name in names if name not in taken)
    taken.add(name)
    return name


def _repeat(
    story: ReportModel,
    kernel: Path | None,
    cache: Path,
    kinds: Sequence[ReproducerKind],
    architecture: Architecture,
) -> None:
    if story.crashing is None:
        return
    included = {f"{REPRODUCERS}/{_as_included(name, story.sources)}" for name in story.included}
    copies = (story.folder / name for name in story.reproducers if name not in included)
    known = ((path, kind_of(path, kinds)) for path in copies)
    programs = [_program(path, kind, cache, architecture) for path, kind in known if kind is not None]
    if story.result.symptom == BUILD or any(program.needs.selftest for program in programs):
        programs = []  # there is no kernel, or more to run than a guest by itself has
    image = kernel / architecture.image_name if kernel is not None else None
    repeat.write(story, programs, image, architecture, cache)


def _program(path: Path, kind: ReproducerKind, cache: Path, architecture: Architecture) -> repeat.Program:
    """How a copy of a reproducer becomes what a guest runs."""
    return repeat.Program(path.name, prepare(path, kind, cache, architecture), needs_of(kind, path))


def _junit(path: Path, story: ReportModel) -> None:
    commits = [
        (
            dict(revision.facts),
            [consoles.session_folder(story.folder, step.commit, step.session) for step in revision.steps],
        )
        for revision in story.revisions
        if revision.facts
    ]
    junit.write(path, commits, story.result)
