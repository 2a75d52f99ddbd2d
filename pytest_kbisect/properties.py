"""The names of the JUnit `<properties>` of a test.

They are in one place, because the writer (fixtures) and the reader (session_report) may be on different
machines.
"""

from __future__ import annotations

import re
from typing import Final

OUTCOME: Final = "kbisect.outcome"
"""One of ok, crashed, failed, silent, boot-failed, infra-failed, build-failed."""
TITLE: Final = "kbisect.title"
"""The title of the failure that matches the reference, else of the first failure; the reason of a boot
failure."""
SYMPTOM: Final = "kbisect.symptom"
"""The kind of symptom that this failure is, unless it is a crash."""
SAID: Final = "kbisect.said"
"""What this run printed, if the title leaves out what differs between runs."""
CLEARED: Final = "kbisect.cleared"
"""The title of a failure that the run would have shown and did not (repeated)."""
METRIC: Final = "kbisect.metric"
"""What the run has measured, as JSON: `metric` (its name and the direction that is bad) and `values`."""
ALT_TITLE: Final = "kbisect.alt_title"
"""Another title under which the same crash may be known (repeated)."""
CRASH_TYPE: Final = "kbisect.type"
FRAME: Final = "kbisect.frame"
"""The key frame: the function that the title of the crash names."""
REPORT: Final = "kbisect.report"
"""One report of the run (repeated, in order), as JSON: `title`, `alt_titles`, `type`, `frame`, `text`,
`symptom`, `said`."""
WHOLE: Final = "kbisect.whole"
"""Set if a run crashed but continued to its end: no report has stopped the kernel or killed a task."""
CUT_SHORT: Final = "kbisect.cut_short"
"""The kernel setting that turned a report into a panic (`panic_on_warn`)."""
EXPECTED: Final = "kbisect.expected"
"""A crash title that the reproducer names (repeated)."""
COMMIT: Final = "kbisect.commit"
RUN: Final = "kbisect.run"
"""The number of the run, from 0."""
SAME_KERNEL: Final = "kbisect.same_kernel"
"""Set if nothing was run because a kernel with this signature had already been tested."""
TEST: Final = "kbisect.test"
"""The test without run and configuration, if a session runs several for `--kbisect-each`."""
UNNEEDED: Final = "kbisect.unneeded"
"""Set if nothing was run because an earlier run of the same test had shown what was waited for."""
STOPPED: Final = "kbisect.stopped"
"""Set if a host error ended the whole session."""
BOOT_CRASH: Final = "kbisect.boot_crash"
"""The title of a crash that was printed before the run began (repeated). It belongs to no run."""
SIGNATURE: Final = "kbisect.signature"
COMPILER: Final = "kbisect.compiler"
CONFIGURATION: Final = "kbisect.configuration"
"""The name of the configuration, if the reproducer names configurations."""
BUILD_SECONDS: Final = "kbisect.build_seconds"
"""The time that this session spent on building the kernel; 0 if the kernel came from the store."""
CHECKOUT_SECONDS: Final = "kbisect.checkout_seconds"
CONFIGURE_SECONDS: Final = "kbisect.configure_seconds"
MAKE_SECONDS: Final = "kbisect.make_seconds"
"""Checkout, configure and make are the three parts of the build time."""
WAIT_SECONDS: Final = "kbisect.wait_seconds"
"""The time spent waiting before or instead of a build: for another process that built this kernel or held all
slots."""
SAME_AS: Final = "kbisect.same_as"
"""The commit whose kernel this commit uses, because none of the files that were read for it differ."""
CCACHE: Final = "kbisect.ccache"
"""Compilations of this build that were in the compiler cache, and all compilations: `12/345`."""
SOURCES: Final = "kbisect.sources"
"""The path of the list of files that the build read, on the machine of the run."""
BEGAN: Final = "kbisect.began"
"""The time at which the run requested its guest, in seconds since the epoch."""
BOOT_SECONDS: Final = "kbisect.boot_seconds"
"""The time for booting a guest and taking its snapshot, if that was done for this run; else 0."""
RESTORE_SECONDS: Final = "kbisect.restore_seconds"
"""The time for restoring the snapshot until the guest ran commands; 0 if the guest was booted."""
BOOT: Final = "kbisect.boot"
"""The snapshot that the run started from: "0", "1", or "fresh" if a guest was booted for this run."""
TEARDOWN_SECONDS: Final = "kbisect.teardown_seconds"
"""The time from the end of the test to the end of its guest."""
RUN_SECONDS: Final = "kbisect.run_seconds"
REACHED: Final = "kbisect.reached"
"""A function of the crash that was executed in this run (repeated)."""
UNREACHED: Final = "kbisect.unreached"
"""A function of the crash that is in this kernel but was not executed in this run (repeated)."""
INLINED: Final = "kbisect.inlined"
"""A function of the crash that is in the kernel's source but not in its image (repeated)."""
ABSENT: Final = "kbisect.absent"
"""A function of the crash that does not occur in this kernel's source (repeated)."""
IDLE: Final = "kbisect.idle"
"""A function of the crash that the guest executed before the reproducer began (repeated); empty if this was
checked and there was none."""
UNWATCHED: Final = "kbisect.unwatched"
"""Why the functions that a run executed are not known although it should have been watched."""
CODE: Final = "kbisect.code"
"""An object of the kernel of which the run executed something, and the functions, with spaces between them
(repeated)."""
UNRECORDED: Final = "kbisect.unrecorded"
"""Why it is not known what a run executed although it should have been recorded."""
HOST: Final = "kbisect.host"
"""The name of the session's host; on a cluster, of the worker."""
MACHINE: Final = "kbisect.machine"
"""The accelerator of the run's guest, and the processor's model."""
CONSOLE: Final = "kbisect.console"
"""The path of the whole console, on the machine of the run."""
USAGE: Final = "kbisect.usage"
"""Set if a usage error or host error ended the run. The session's exit code is 4."""

KERNEL_PARTS: Final = {
    "checkout": CHECKOUT_SECONDS,
    "configure": CONFIGURE_SECONDS,
    "make": MAKE_SECONDS,
    "wait": WAIT_SECONDS,
}
"""The parts of the time for providing a kernel."""
RUN_PARTS: Final = {
    "boot": BOOT_SECONDS,
    "restore": RESTORE_SECONDS,
    "run": RUN_SECONDS,
    "teardown": TEARDOWN_SECONDS,
}
"""The parts of the time of a run."""

RUN_IN_NAME: Final = re.compile(r"[\[-]run(\d+)(?=[-\]])")


def run_number(told: str, name: str) -> int | None:
    """The number of the run that a test belongs to, from its RUN, or from its name if the worker died."""
    if told:
        return int(told)
    found = RUN_IN_NAME.search(name)
    return int(found[1]) if found else None
