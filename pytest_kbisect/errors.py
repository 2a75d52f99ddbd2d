"""The errors that this project raises on purpose, and the exit code of each.

KbisectError                  3  base class; raised itself, it means a bug in this project
├── UsageError                4  an option, file or argument cannot be used; nothing was changed
├── HostError                 4  the host lacks a tool, memory or disk space
├── BuildError                -  a commit does not build (a bisection skips it)
│   ├── ConfigError           4  a commit lacks requested configuration (a bisection skips it)
│   └── PatchError            4  a patch does not apply to a commit (a bisection skips it)
├── GuestError                -  a guest cannot be used
│   ├── BootError             -  the kernel did not boot (no evidence for a bisection)
│   ├── InfraError            -  the host failed: QEMU, ssh, disk
│   └── SilentRun             -  the run says nothing of what the reproducer looks for
├── KernelCrash               -  the console shows a crash; the run failed
└── SymptomShown              -  the run failed by another symptom that the reproducer states

Errors marked "-" become the outcome of a run; they do not end the process.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kbisect.crash import CrashReport
    from pytest_kbisect.symptoms.symptom import SymptomReport


class ExitCode(IntEnum):
    """Exit codes of `pytest` with this plugin and of `kbisect`; 0-5 are pytest's own."""

    FOUND = 0
    """Culprit found; in an ordinary run: every reproducer passed."""
    FAILED = 1
    """Ordinary run: a reproducer failed."""
    INTERRUPTED = 2
    INTERNAL = 3
    USAGE = 4
    NOTHING_COLLECTED = 5
    INCONCLUSIVE = 6
    NOT_REPRODUCED = 7
    BAD_AT_GOOD_END = 8
    """The good end shows the bug already: name an older one."""


class KbisectError(Exception):
    """Base class of all errors. The message is one line: what failed, why, and what to do."""

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL


class UsageError(KbisectError):
    """An option, file or argument cannot be used; nothing on disk was changed."""

    exit_code = ExitCode.USAGE


class HostError(KbisectError):
    """The host lacks something; the message names it, and the package or option that helps."""

    exit_code = ExitCode.USAGE


class BuildError(KbisectError):
    """A commit does not build.

    `cause` holds the lines of make's output that explain it (at most 20), `log` the path of all output.
    """

    def __init__(self, message: str, *, cause: tuple[str, ...] = (), log: str = "") -> None:
        super().__init__(message)
        self.cause = cause
        self.log = log


class ConfigError(BuildError):
    """A commit does not have the configuration that was asked for.

    `symbols` are the requested symbols that are missing. In a bisection the commit is skipped, as for any
    BuildError; in an ordinary run this is a usage error.
    """

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, *, symbols: tuple[str, ...] = (), log: str = "") -> None:
        super().__init__(message, log=log)
        self.symbols = symbols


class PatchError(BuildError):
    """A patch of the user's conflicts with a commit (`--kbisect-patch`).

    In a bisection the commit is skipped, as for any BuildError; in an ordinary run this is a usage error.
    """

    exit_code = ExitCode.USAGE


class GuestError(KbisectError):
    """A guest cannot be used. `kind` is a fixed word, `console` the end of the console."""

    def __init__(self, kind: str, message: str, *, console: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.console = console

    def __str__(self) -> str:
        text = super().__str__()
        return f"{text}\n--- end of the console ---\n{self.console}" if self.console else text


class BootError(GuestError):
    """The kernel did not boot: a panic, no ssh server, no output, a reboot."""


class InfraError(GuestError):
    """The host failed: QEMU died, the ssh connection was lost without a crash, the disk is full."""


class SilentRun(GuestError):  # noqa: N818 - a result
    """The run is no evidence: it was skipped, or cut short. `cleared`: see SymptomShown."""

    def __init__(self, message: str, *, cleared: Sequence[str] = (), unknown: bool = False) -> None:
        super().__init__("silent", message)
        self.cleared = tuple(cleared)
        self.unknown = unknown
        """Whether the run went well, and has nothing of what the reproducer asks for."""


class SymptomShown(KbisectError):  # noqa: N818 - a result
    """The run shows symptoms that its reproducer states, besides or instead of a crash.

    `reports` are what it shows, in order, at least one. `cleared` are titles of what it would have shown and
    did not.
    """

    def __init__(self, reports: Sequence[SymptomReport], *, cleared: Sequence[str] = ()) -> None:
        super().__init__(reports[0].said or reports[0].title)
        self.reports = tuple(reports)
        self.cleared = tuple(cleared)

    def __str__(self) -> str:
        return "\n\n".join("\n".join(filter(None, [one.said or one.title, one.text])) for one in self.reports)


class KernelCrash(KbisectError):  # noqa: N818 - a crash is a result, not a mistake of ours
    """The console shows a crash. Raised in the call phase, so that it is a `failure` in JUnit XML.

    `reports` are all reports of the run, in order; `report` is the one that names it: the first expected one,
    or else the first. `whole`: the run went to its end all the same. `setting` is what turned a report into a
    panic (`panic_on_warn`), or "".
    """

    def __init__(
        self,
        report: CrashReport,
        *,
        reports: Sequence[CrashReport] = (),
        whole: bool = False,
        setting: str = "",
    ) -> None:
        super().__init__(report.title)
        self.report = report
        self.reports = tuple(reports) or (report,)
        self.whole = whole
        self.setting = setting
        self.looked_for = True
        """Whether the reproducer looks for crashes; if not, this one has cut the run short."""
        self.shown: tuple[SymptomReport, ...] = ()
        """Other symptoms that the reproducer looks for, and the run shows."""

    def __str__(self) -> str:
        parts = [f"{self.report.title}\n\n{self.report.report}"]
        others = [other for other in self.reports if other is not self.report]
        parts += [f"also reported in this run: {other.title}\n\n{other.report}" for other in others]
        if self.setting:
            parts.append(
                f"note: {self.setting} made the kernel panic: what else this run would show is not known"
            )
        return "\n\n".join(parts)
