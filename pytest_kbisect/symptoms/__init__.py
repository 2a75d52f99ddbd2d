"""Symptoms: what makes a run bad, good or silent, and what a failure is known by. Pure.

Each kind of symptom is one module. A reproducer states its symptoms (`kbisect-bad-when: KIND ARGUMENT`); each
of them judges what a run left behind, and what the run showed travels on as reports, as crashes do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_kbisect import extensions
from pytest_kbisect.errors import UsageError
from pytest_kbisect.symptoms.boot_failure import BOOT
from pytest_kbisect.symptoms.build_failure import BUILD
from pytest_kbisect.symptoms.console_message import CONSOLE
from pytest_kbisect.symptoms.exit_status import EXIT_STATUS
from pytest_kbisect.symptoms.kernel_crash import CRASH
from pytest_kbisect.symptoms.metric import METRIC
from pytest_kbisect.symptoms.subtest import SUBTEST
from pytest_kbisect.symptoms.symptom import (
    BootFailure,
    BuildFailure,
    Judgement,
    Measurement,
    RunRecord,
    Stage,
    Symptom,
    SymptomKind,
    SymptomReport,
)
from pytest_kbisect.symptoms.time_limit import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pluggy

BUILT_IN: Final[tuple[SymptomKind, ...]] = (
    CRASH,
    EXIT_STATUS,
    SUBTEST,
    TIMEOUT,
    CONSOLE,
    BOOT,
    BUILD,
    METRIC,
)
"""The kinds, in the order in which messages list them."""


def registered(plugins: pluggy.PluginManager) -> tuple[SymptomKind, ...]:
    """All kinds, those of other plugins first. Raises UsageError for an entry that is none."""
    return extensions.entries(plugins, "pytest_kbisect_symptoms", SymptomKind)  # type: ignore[type-abstract]


def stated(text: str, where: str, kinds: Sequence[SymptomKind] = BUILT_IN) -> Symptom:
    """The symptom of the words `KIND ARGUMENT`; `where` names what states it. Raises UsageError."""
    name, _, argument = text.strip().partition(" ")
    for kind in kinds:
        if kind.name == name:
            try:
                return kind.parse(argument.strip())
            except ValueError as error:
                raise UsageError(f"{where}: write another symptom than {text!r}: {error}") from None
    names = ", ".join(dict.fromkeys(kind.name for kind in kinds))
    raise UsageError(f"{where}: unknown symptom {name!r} (known: {names})")


__all__ = [
    "BUILT_IN",
    "BootFailure",
    "BuildFailure",
    "Judgement",
    "Measurement",
    "RunRecord",
    "Stage",
    "Symptom",
    "SymptomKind",
    "SymptomReport",
    "registered",
    "stated",
]
