"""Boot kernels in QEMU, run crash reproducers as tests, and bisect Linux with them.

The names in `__all__` are the public interface, for tests, tools and other plugins. Modules below this
package may change without notice. What a name stands for is loaded when it is first used: pytest imports
this package at each start, also for people who do not use it.
"""

# No annotations and no `from __future__ import annotations`: old Pythons read this before they are told that
# they are too old.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_kbisect.arch.architecture import Architecture
    from pytest_kbisect.bisection.executor import Executor, LocalExecutor, RunningSession, SessionCommand
    from pytest_kbisect.crash.crash_report import LOST_CONNECTION, NO_OUTPUT, CrashReport
    from pytest_kbisect.crash.formats.format import CALL_TRACE, RIP, STACK, CrashFormat, anchor, crash_format
    from pytest_kbisect.crash.matching import Match, same_bug
    from pytest_kbisect.crash.reader import ConsoleReader, parse_console
    from pytest_kbisect.errors import (
        BootError,
        BuildError,
        ConfigError,
        ExitCode,
        GuestError,
        HostError,
        InfraError,
        KbisectError,
        KernelCrash,
        PatchError,
        SilentRun,
        SymptomShown,
        UsageError,
    )
    from pytest_kbisect.evidence.by_kernel import Evidence
    from pytest_kbisect.evidence.run_counts import RunCounts
    from pytest_kbisect.fixtures import Compile
    from pytest_kbisect.guest.console import Console
    from pytest_kbisect.guest.ssh import CommandResult, CommandTimeoutError
    from pytest_kbisect.guest.vm import Guest
    from pytest_kbisect.history.candidates import GOOD_END, History
    from pytest_kbisect.kernel.image import KernelImage
    from pytest_kbisect.reproducer_kinds import GuestProgram, ReproducerKind
    from pytest_kbisect.strategies.strategy import (
        Answer,
        AnswerKind,
        Experiment,
        Problem,
        Strategy,
        StrategyKind,
        no_result,
    )
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

__version__ = "0.1.0"

__all__ = [
    "CALL_TRACE",
    "GOOD_END",
    "LOST_CONNECTION",
    "NO_OUTPUT",
    "RIP",
    "STACK",
    "Answer",
    "AnswerKind",
    "Architecture",
    "BootError",
    "BootFailure",
    "BuildError",
    "BuildFailure",
    "CommandResult",
    "CommandTimeoutError",
    "Compile",
    "ConfigError",
    "Console",
    "ConsoleReader",
    "CrashFormat",
    "CrashReport",
    "Evidence",
    "Executor",
    "ExitCode",
    "Experiment",
    "Guest",
    "GuestError",
    "GuestProgram",
    "History",
    "HostError",
    "InfraError",
    "Judgement",
    "KbisectError",
    "KernelCrash",
    "KernelImage",
    "LocalExecutor",
    "Match",
    "Measurement",
    "PatchError",
    "Problem",
    "ReproducerKind",
    "RunCounts",
    "RunRecord",
    "RunningSession",
    "SessionCommand",
    "SilentRun",
    "Stage",
    "Strategy",
    "StrategyKind",
    "Symptom",
    "SymptomKind",
    "SymptomReport",
    "SymptomShown",
    "UsageError",
    "anchor",
    "crash_format",
    "no_result",
    "parse_console",
    "same_bug",
]

_HOMES = {
    "arch.architecture": ("Architecture",),
    "bisection.executor": ("Executor", "LocalExecutor", "RunningSession", "SessionCommand"),
    "strategies.strategy": (
        "Answer",
        "AnswerKind",
        "Experiment",
        "Problem",
        "Strategy",
        "StrategyKind",
        "no_result",
    ),
    "crash.formats.format": ("CALL_TRACE", "RIP", "STACK", "CrashFormat", "anchor", "crash_format"),
    "crash.matching": ("Match", "same_bug"),
    "crash.reader": ("ConsoleReader", "parse_console"),
    "crash.crash_report": ("LOST_CONNECTION", "NO_OUTPUT", "CrashReport"),
    "symptoms.symptom": (
        "BootFailure",
        "BuildFailure",
        "Judgement",
        "Measurement",
        "RunRecord",
        "Stage",
        "Symptom",
        "SymptomKind",
        "SymptomReport",
    ),
    "errors": (
        "BootError",
        "BuildError",
        "ConfigError",
        "ExitCode",
        "GuestError",
        "HostError",
        "InfraError",
        "KbisectError",
        "KernelCrash",
        "SilentRun",
        "SymptomShown",
        "PatchError",
        "UsageError",
    ),
    "evidence.by_kernel": ("Evidence",),
    "evidence.run_counts": ("RunCounts",),
    "fixtures": ("Compile",),
    "history.candidates": ("GOOD_END", "History"),
    "guest.console": ("Console",),
    "guest.ssh": ("CommandResult", "CommandTimeoutError"),
    "guest.vm": ("Guest",),
    "kernel.image": ("KernelImage",),
    "reproducer_kinds": ("GuestProgram", "ReproducerKind"),
}


if not TYPE_CHECKING:  # or any name would be right to a type checker

    def __getattr__(name):
        from importlib import import_module

        for home, names in _HOMES.items():
            if name in names:
                value = getattr(import_module("{}.{}".format(__name__, home)), name)
                globals()[name] = value  # the next time without this function
                return value
        raise AttributeError("module {!r} has no attribute {!r}".format(__name__, name))


def __dir__():  # type: ignore[no-untyped-def]
    return sorted(set(globals()) | set(__all__))
