"""`--kbisect-deliver CMD`: a command of the user's that takes a kernel to the machine that runs it."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final

from pytest_kbisect import process

if TYPE_CHECKING:
    from pytest_kbisect.kernel.packages import Packaged

VARIABLES: Final = {
    "KBISECT_COMMIT": "the commit's full hash",
    "KBISECT_IMAGE": "path of the kernel's image",
    "KBISECT_MODULES": "folder with lib/modules/RELEASE, or empty",
    "KBISECT_RELEASE": "the kernel's release, as uname -r prints it",
    "KBISECT_CONFIG": "path of its configuration",
    "KBISECT_PACKAGES": "paths of its packages (--kbisect-package), one a line",
}
"""The environment of the command."""


def environment(packaged: Packaged) -> dict[str, str]:
    """What the command is told, besides our own environment."""
    return {
        "KBISECT_COMMIT": packaged.commit,
        "KBISECT_IMAGE": str(packaged.image),
        "KBISECT_MODULES": str(packaged.modules or ""),
        "KBISECT_RELEASE": packaged.release,
        "KBISECT_CONFIG": str(packaged.config),
        "KBISECT_PACKAGES": "\n".join(map(str, packaged.packages)),
    }


def deliver(command: str, packaged: Packaged) -> str:
    """Run the command, in a shell; it prints to our terminal. Returns why it failed, "" where it did not."""
    child = process.start(
        ["sh", "-c", command],
        env={**os.environ, **environment(packaged)},
        stdout=None,
        stderr=None,
    )
    try:
        status = child.wait()
    except BaseException:
        process.kill(child)
        raise
    if not status:
        return ""
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
