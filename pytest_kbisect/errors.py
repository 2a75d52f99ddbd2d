"""Every error this project raises on purpose, and the exit code each ends with.

KbisectError                  3  base; raised bare it means a bug in this project
├── UsageError                4  something the user gave is wrong; nothing was changed
├── HostError                 4  the host lacks a tool, memory or disk
├── BuildError                -  a commit does not build (a bisection skips it)
│   └── ConfigError           4  a commit lacks configuration that was asked for (a bisection skips it)
├── GuestError                -  a guest could not be used
│   ├── BootError             -  the kernel did not come up (a bisection counts it as no evidence)
│   └── InfraError            -  the host's side failed: QEMU, ssh, disk
└── KernelCrash               -  the console shows a crash; the run failed
Codes marked "-"
become the outcome of one run, never of the process.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kbisect.crash import CrashReport


class ExitCode(IntEnum):
    """Exit codes of `pytest` with this plugin and of `kbisect`; 0-5 are pytest's own."""

    FOUND = 0
    """Culprit found; in an ordinary run: every reproducer passed."""
    FAILED = 1
    """Ordinary run: some reproducer crashed its kernel."""
    INTERRUPTED = 2
    INTERNAL = 3
    USAGE = 4
    NOTHING_COLLECTED = 5
    INCONCLUSIVE = 6
    NOT_REPRODUCED = 7
    BAD_AT_GOOD_END = 8
    """The good end shows the bug already: name an older one."""


class KbisectError(Exception):
    """Base of all. The message is one line that names the thing, the reason and the next step."""

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL


class UsageError(KbisectError):
    """Something the user gave cannot be used; nothing on disk was changed."""

    exit_code = ExitCode.USAGE


class HostError(KbisectError):
    """The host lacks something; the message names it and the package or option that helps."""

    exit_code = ExitCode.USAGE


class BuildError(KbisectError):
    """A commit does not build.

    `cause` holds the root-cause lines of make's output (at most 20), `log` the path of the whole.
    """

    def __init__(self, message: str, *, cause: tuple[str, ...] = (), log: str = "") -> None:
        super().__init__(message)
        self.cause = cause
        self.log = log


class ConfigError(BuildError):
    """A commit does not have the configuration that was asked for.

    `symbols` are those asked for and missing. In the middle of a range this is a reason to skip the commit,
    as BuildError is; for the only commit of an ordinary run it is a usage error.
    """

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, *, symbols: tuple[str, ...] = (), log: str = "") -> None:
        super().__init__(message, log=log)
        self.symbols = symbols


class GuestError(KbisectError):
    """A guest could not be used. `kind` is a fixed word, `console` the end of the console."""

    def __init__(self, kind: str, message: str, *, console: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.console = console

    def __str__(self) -> str:
        text = super().__str__()
        return f"{text}\n--- end of the console ---\n{self.console}" if self.console else text


class BootError(GuestError):
    """The kernel did not come up: panic while booting, no ssh, silence, reboot."""


class InfraError(GuestError):
    """The host's side failed: QEMU died, ssh was lost without a crash, the disk is full."""


class KernelCrash(KbisectError):  # noqa: N818 - a crash is what happened, not a mistake of ours
    """The console shows a crash; raised in the call phase so that JUnit says `failure`.

    `reports` are all that the run has shown, in order, and `report` the one it is known by: the first that
    was looked for, else the first. `whole`: nothing has cut the run short, it went to its end all the same.
    `setting` is what turned a report into a panic (`panic_on_warn`), "" if nothing did.
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

    def __str__(self) -> str:
        parts = [f"{self.report.title}\n\n{self.report.report}"]
        others = [other for other in self.reports if other is not self.report]
        parts += [f"also reported in this run: {other.title}\n\n{other.report}" for other in others]
        if self.setting:
            parts.append(
                f"note: {self.setting} made the kernel panic: what else this run would show is not known"
            )
        return "\n\n".join(parts)
