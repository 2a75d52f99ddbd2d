"""Queries apt and installs packages as root. Uses only the standard library."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

from pytest_kbisect import quiet

if TYPE_CHECKING:
    from collections.abc import Sequence

_RETRY_PAUSE = 5.0
"""Seconds before a failed apt-get is repeated once: a mirror may fail, or the lock may be taken."""
_LOCK_TIMEOUT = 120
"""Seconds to wait for dpkg's lock. A freshly installed machine may be upgrading itself."""


def may_become_root() -> bool:
    """Whether we are root or sudo is installed."""
    return os.geteuid() == 0 or shutil.which("sudo") is not None


def as_root(words: Sequence[str]) -> list[str]:
    """The command line `apt-get WORDS`, with sudo if needed. debconf must not ask questions."""
    command = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *words]
    return command if os.geteuid() == 0 else ["sudo", *command]


def install_words(packages: Sequence[str]) -> list[str]:
    """The arguments of apt-get that install these packages."""
    return ["install", "--yes", "--no-install-recommends", *packages]


def authenticate() -> bool:
    """Let sudo ask for a password now, before progress output interferes with the prompt."""
    return os.geteuid() == 0 or subprocess.run(["sudo", "-v"], check=False).returncode == 0


def run(words: Sequence[str]) -> bool:
    """Run apt-get as root, and once more if it fails. Returns whether it succeeded; prints failed output.

    It does not use `process`: sudo may ask for a password, for which it must be in the foreground of the
    terminal, and dpkg must not be killed if we are killed.
    """
    command = as_root(["-o", f"DPkg::Lock::Timeout={_LOCK_TIMEOUT}", *words])
    for attempt in (1, 2):
        print(f"+ {shlex.join(command)}", flush=True)
        if quiet.run(command) == 0:
            return True
        if attempt == 1:
            print(f"apt-get failed; retrying in {_RETRY_PAUSE:.0f} s", flush=True)
            time.sleep(_RETRY_PAUSE)
    return False


def unavailable(packages: Sequence[str]) -> list[str]:
    """The packages that apt cannot install: unknown ones, and those without a candidate."""
    answer = _read("apt-cache", "policy", *packages).stdout
    candidates = dict(re.findall(r"^(\S+):\n.*\n +Candidate: (.*)$", answer, re.MULTILINE))
    return [package for package in packages if candidates.get(package, "(none)") == "(none)"]


def simulate(packages: Sequence[str]) -> tuple[int, str]:
    """The number of packages that installing these would add, and the reason if it is impossible."""
    done = _read("apt-get", "--simulate", *install_words(packages))
    if done.returncode:
        return 0, (done.stdout + done.stderr).strip()
    return len(re.findall(r"^Inst ", done.stdout, re.MULTILINE)), ""


def _read(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LC_ALL": "C"}  # we parse the output
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
