"""The names of what a test tells in its JUnit `<properties>`.

One place, because the writer (fixtures) and the reader (session_report) may be on different machines.
"""

from __future__ import annotations

import re
from typing import Final

OUTCOME: Final = "kbisect.outcome"
"""One of ok, crashed, failed, silent, boot-failed, infra-failed, build-failed."""
TITLE: Final = "kbisect.title"
"""Of the failure that was looked for, else of the first; of a boot failure its reason."""
SYMPTOM: Final = "kbisect.symptom"
"""The kind of symptom that this failure is, where it is no crash."""
SAID: Final = "kbisect.said"
"""What this run said, where the title leaves out what differs between runs."""
CLEARED: Final = "kbisect.cleared"
"""A failure that the run would have shown and did not, by its title (repeated)."""
ALT_TITLE: Final = "kbisect.alt_title"
"""Repeated: other titles under which the same crash may be known."""
CRASH_TYPE: Final = "kbisect.type"
FRAME: Final = "kbisect.frame"
"""The function the crash is told by."""
REPORT: Final = "kbisect.report"
"""One report of the run (repeated, in order), as JSON: `title`, `alt_titles`, `type`, `frame`, `text`,
`symptom`, `said`."""
WHOLE: Final = "kbisect.whole"
"""Set where a run crashed and went on to its end: no report has ended or killed anything."""
CUT_SHORT: Final = "kbisect.cut_short"
"""The kernel's setting that turned a report into a panic (`panic_on_warn`)."""
EXPECTED: Final = "kbisect.expected"
"""A title the reproducer names (repeated)."""
COMMIT: Final = "kbisect.commit"
RUN: Final = "kbisect.run"
"""The number of the run, from 0."""
SAME_KERNEL: Final = "kbisect.same_kernel"
"""Set where nothing was run because a kernel of this signature had been tested."""
BOOT_CRASH: Final = "kbisect.boot_crash"
"""Title of a crash that was printed before the run began (repeated); it belongs to no run."""
SIGNATURE: Final = "kbisect.signature"
COMPILER: Final = "kbisect.compiler"
CONFIGURATION: Final = "kbisect.configuration"
"""The name of the configuration, where the reproducer names any."""
BUILD_SECONDS: Final = "kbisect.build_seconds"
"""What the build of this kernel took in this session; 0 where it came from the store."""
CHECKOUT_SECONDS: Final = "kbisect.checkout_seconds"
CONFIGURE_SECONDS: Final = "kbisect.configure_seconds"
MAKE_SECONDS: Final = "kbisect.make_seconds"
"""The three parts of that."""
WAIT_SECONDS: Final = "kbisect.wait_seconds"
"""Before a build, or instead of one: for another process that built this kernel, or held all slots."""
SAME_AS: Final = "kbisect.same_as"
"""The commit whose kernel this one took, because nothing differs that was read for it."""
CCACHE: Final = "kbisect.ccache"
"""Of the build that was made: compilations that the compiler cache had, of all; `12/345`."""
SOURCES: Final = "kbisect.sources"
"""Path of the list of files that the build read, on the machine of the run."""
BEGAN: Final = "kbisect.began"
"""When the run's guest was asked for, in seconds since the epoch."""
BOOT_SECONDS: Final = "kbisect.boot_seconds"
"""What booting and freezing a guest took, where that was done for this run; else 0."""
RESTORE_SECONDS: Final = "kbisect.restore_seconds"
"""What restoring the frozen guest took until it ran commands; 0 where it was booted."""
BOOT: Final = "kbisect.boot"
"""Which frozen boot of the kernel the run began from: "0", "1", or "fresh" where it had one of its own."""
TEARDOWN_SECONDS: Final = "kbisect.teardown_seconds"
"""From the end of the test to the end of its guest."""
RUN_SECONDS: Final = "kbisect.run_seconds"
REACHED: Final = "kbisect.reached"
"""A function of the crash that was executed in this run (repeated)."""
UNREACHED: Final = "kbisect.unreached"
"""A function of the crash that is in this kernel and was not executed in this run (repeated)."""
INLINED: Final = "kbisect.inlined"
"""A function of the crash that the kernel's source names and its image does not have (repeated)."""
ABSENT: Final = "kbisect.absent"
"""A function of the crash that is named nowhere in this kernel's source (repeated)."""
IDLE: Final = "kbisect.idle"
"""A function of the crash that the guest executed before the reproducer began (repeated); empty where that
was looked at and there was none."""
UNWATCHED: Final = "kbisect.unwatched"
"""Why a run that was to be watched was not: what it executed is not known."""
CONSOLE: Final = "kbisect.console"
"""Path of the whole console, on the machine of the run."""
USAGE: Final = "kbisect.usage"
"""Set where a usage or host error ended the run; the session's exit code is 4."""

KERNEL_PARTS: Final = {
    "checkout": CHECKOUT_SECONDS,
    "configure": CONFIGURE_SECONDS,
    "make": MAKE_SECONDS,
    "wait": WAIT_SECONDS,
}
"""What having a kernel took, by part."""
RUN_PARTS: Final = {
    "boot": BOOT_SECONDS,
    "restore": RESTORE_SECONDS,
    "run": RUN_SECONDS,
    "teardown": TEARDOWN_SECONDS,
}
"""What a run took, by part."""

RUN_IN_NAME: Final = re.compile(r"[\[-]run(\d+)(?=[-\]])")


def run_number(told: str, name: str) -> int | None:
    """The number of the run a test belongs to, by its RUN; where its worker died, by the test's name."""
    if told:
        return int(told)
    found = RUN_IN_NAME.search(name)
    return int(found[1]) if found else None
