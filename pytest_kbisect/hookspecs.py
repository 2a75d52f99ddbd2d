"""The hooks by which other plugins extend this one. See docs/contributing for an example of each.

Where two plugins offer reproducer kinds, crash formats or architectures for the same thing, the plugin that
pytest has registered last comes first; built-in entries come last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pytest_kbisect.arch.architecture import Architecture
    from pytest_kbisect.bisection.executor import Executor
    from pytest_kbisect.crash.formats.format import CrashFormat
    from pytest_kbisect.evidence.outcome import CommitResult
    from pytest_kbisect.reports.result import Result
    from pytest_kbisect.reproducer_kinds import ReproducerKind
    from pytest_kbisect.strategies.strategy import StrategyKind
    from pytest_kbisect.symptoms.symptom import SymptomKind

# -- reproducers -------------------------------------------------------------------------------------------


def pytest_kbisect_reproducer_kinds(config: pytest.Config | None) -> Sequence[ReproducerKind]:  # type: ignore[empty-body]
    """Kinds of reproducers: files that become tests. The first kind that has a file's suffix collects it.

    `config` is None in commands that run outside pytest, such as `kbisect report`. An implementation may
    leave it out.
    """


# -- symptoms ----------------------------------------------------------------------------------------------


def pytest_kbisect_symptoms() -> Sequence[SymptomKind]:  # type: ignore[empty-body]
    """Kinds of symptoms: what makes a run bad. The first word of `kbisect-bad-when:` names one of them."""


# -- crashes -----------------------------------------------------------------------------------------------


def pytest_kbisect_crash_formats() -> Sequence[CrashFormat]:  # type: ignore[empty-body]
    """Ways in which kernels report faults. Of several that a report fits, the first is its own.

    Called once in each process, after pytest has loaded the plugins and conftest.py files that it loads at
    its start.
    """


# -- kernels and guests ------------------------------------------------------------------------------------


def pytest_kbisect_architectures() -> Sequence[Architecture]:  # type: ignore[empty-body]
    """Architectures for which kernels are built and run; --kbisect-arch names one."""


# -- strategies ------------------------------------------------------------------------------------


def pytest_kbisect_strategies(config: pytest.Config) -> Iterable[StrategyKind]:  # type: ignore[empty-body]
    """Strategies that `--kbisect-strategy NAME` can choose, each with a name of its own."""


# -- executors -------------------------------------------------------------------------------------


def pytest_kbisect_executors(config: pytest.Config) -> Iterable[Executor]:  # type: ignore[empty-body]
    """Executors that `--kbisect-executor NAME` can choose, each with a name of its own.

    Called in the driver's process. Leave connections to other machines to Executor.start: all executors are
    made, and one is used.
    """


# -- observers -------------------------------------------------------------------------------------


def pytest_kbisect_commit_tested(config: pytest.Config, tested: CommitResult) -> None:
    """A session at one commit has ended, and what it found is in the journal.

    Called in the driver's process, not again for what a journal holds already. An exception is printed as a
    note and changes nothing.
    """


def pytest_kbisect_finished(config: pytest.Config, result: Result, folder: Path) -> None:
    """A bisection has ended; `result` is what `folder`/result.json holds, and all reports are written.

    An exception is printed as a note and changes nothing.
    """
