"""The names of what a test tells in its JUnit `<properties>`, and of the variables set for sessions.

One place, because the writer (fixtures) and the reader (lab) may be on different machines.
"""

from __future__ import annotations

from typing import Final

OUTCOME: Final = "kbisect.outcome"
"""One of ok, crashed, boot-failed, infra-failed, build-failed."""
TITLE: Final = "kbisect.title"
"""Of the crash; of a boot failure its reason."""
ALT_TITLE: Final = "kbisect.alt_title"
"""Repeated: other titles under which the same crash may be known."""
CRASH_TYPE: Final = "kbisect.type"
FRAME: Final = "kbisect.frame"
"""The function the crash is told by."""
EXPECTED: Final = "kbisect.expected"
"""A title the reproducer names (repeated)."""
COMMIT: Final = "kbisect.commit"
SIGNATURE: Final = "kbisect.signature"
COMPILER: Final = "kbisect.compiler"
CONFIGURATION: Final = "kbisect.configuration"
"""The name of the configuration, where the reproducer names any."""
BUILD_SECONDS: Final = "kbisect.build_seconds"
"""What the build of this kernel took in this session; 0 where it came from the store."""
BOOT_SECONDS: Final = "kbisect.boot_seconds"
RUN_SECONDS: Final = "kbisect.run_seconds"
CONSOLE: Final = "kbisect.console"
"""Path of the whole console, on the machine of the run."""
USAGE: Final = "kbisect.usage"
"""Set where the run ended because of something the user can mend; the session's exit code is 4."""

LAB: Final = "KBISECT_LAB"
"""Folder of the session's consoles and events; set by a bisection for the sessions it starts."""
KNOWN: Final = "KBISECT_KNOWN"
"""Signatures of kernels that need not be run again, separated by blanks."""
STOP: Final = "KBISECT_STOP_AT_CRASH"
"""Not empty: the first crash ends the session."""
STRICT: Final = "KBISECT_STRICT"
"""Not empty: a configuration that the commit cannot have is the user's to mend, not a commit to skip."""
PREFLIGHT: Final = "KBISECT_PREFLIGHT"
"""File that a collecting session writes what it selected to; set by a bisection."""
