"""Checks of the host: its programs, its memory, and the cache folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from pytest_kbisect import host, options, parallel
from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.doctor import Finding, Severity
from pytest_kbisect.errors import UsageError
from pytest_kbisect.kernel import host_limits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MIB = host_limits.MIB
_GUEST = options.default("memory") + parallel.GUEST_OVERHEAD
"""MiB that a guest of the default size needs, including QEMU."""
_STORE = options.default("store-size") << 10
"""Default maximum size of the kernel store in MiB."""

APPLETS = (
    "base64",
    "cat",
    "chmod",
    "echo",
    "ip",
    "mkdir",
    "mknod",
    "modprobe",
    "mount",
    "sh",
    "sleep",
    "true",
)
"""The programs that the guest's init and kbisect run in a guest."""

_SAID = ("git", "make", "flex", "bison", DEFAULT.qemu, "busybox")
"""Tools whose versions are printed, because bug reports need them."""

_PROCESS_CONTROL = {
    ("setpriv", "--pdeathsig", "KILL"): "util-linux",
    ("env", "--default-signal=HUP"): "coreutils",
}
"""Commands that prevent children from outliving kbisect, and their packages. busybox has programs of the same
names without these options."""


def tools() -> Iterator[Finding]:
    """Check the programs and headers in the table of `host`. One finding lists all missing ones."""
    absent = [tool for tool in host.missing(host.Purpose.BUILD, host.Purpose.GUEST) if not tool.optional]
    if absent:
        text = "missing: " + ", ".join(f"{tool.name} (to {tool.purpose})" for tool in absent)
        yield Finding("tools", Severity.PROBLEM, text, host.remedy(absent))
    else:
        words = [f"{name} {version}" for name in _SAID if (version := host.version(name))]
        yield Finding("tools", Severity.OK, ", ".join(words))
    if (busybox := host.static_busybox()) and (lacking := sorted({*APPLETS} - _applets(busybox))):
        text = f"{busybox} lacks programs that guests run: {', '.join(lacking)}"
        yield Finding("busybox", Severity.PROBLEM, text, "install your distribution's full, static busybox")
    for command, package in _PROCESS_CONTROL.items():
        if host.find(command[0]) and not _succeeds(*command, "true"):
            text = (
                f"{command[0]} does not support {command[1]}, which kbisect needs to end its child processes"
            )
            yield Finding(command[0], Severity.PROBLEM, text, f"install GNU {package}")


def ccache() -> Finding:
    """Whether ccache is installed. It is optional but recommended."""
    absent = [tool for tool in host.missing(host.Purpose.BUILD) if tool.name == "ccache"]
    if absent:
        text = "not installed: files that include a changed header are compiled again at each commit"
        return Finding("ccache", Severity.WARNING, text, host.remedy(absent))
    return Finding("ccache", Severity.OK, host.version("ccache"))


def memory() -> Finding:
    """Whether there is memory for a guest and for a build."""
    free, build = host_limits.memory_available() // _MIB, host_limits.MEMORY_FOR_BUILD // _MIB
    if free < max(_GUEST, build):
        text = f"{free} MiB free; a guest needs {_GUEST} MiB, a build {build} MiB"
        return Finding("memory", Severity.PROBLEM, text, "stop other programs, or use --kbisect-memory 256")
    guests = free // _GUEST
    return Finding("memory", Severity.OK, f"{free} MiB free: {guests} guest{'s'[: guests > 1]} at a time")


def cache_folder(cache: Path) -> Finding:
    """Whether the cache folder has space, is writable, and allows execution, which builds need."""
    existing = host_limits.existing(cache)
    free = shutil.disk_usage(existing).free // _MIB
    needed = (host_limits.DISK_FOR_TREE + host_limits.DISK_FOR_BUILD) // _MIB
    elsewhere = "use another folder: --kbisect-cache DIR, or the variable KBISECT_CACHE"
    try:
        host_limits.require_path(cache)
    except UsageError as error:
        return Finding("cache", Severity.PROBLEM, str(error).partition(": give")[0], elsewhere)
    if not os.access(existing, os.W_OK | os.X_OK) or not existing.is_dir():
        return Finding("cache", Severity.PROBLEM, f"{cache} cannot be written", elsewhere)
    if free < needed:
        text = f"{cache}: {free} MiB free; a worktree and a build need {needed} MiB"
        return Finding("cache", Severity.PROBLEM, text, f"free some space, or {elsewhere}")
    if not _runs_programs(existing):
        text = f"{cache} is mounted noexec, but builds run programs that they have compiled"
        return Finding("cache", Severity.PROBLEM, text, elsewhere)
    if free < needed + _STORE:
        text = f"{cache}: {free} MiB free; the kernel store may grow to {_STORE} MiB"
        return Finding(
            "cache", Severity.WARNING, text, f"--kbisect-store-size {max(1, (free - needed) >> 10)}"
        )
    return Finding("cache", Severity.OK, f"{cache}: {free >> 10} GiB free")


def _applets(busybox: str) -> set[str]:
    done = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=False)
    return set(done.stdout.split())


def _succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _runs_programs(folder: Path) -> bool:
    from pytest_kbisect.scratch import scratch_folder

    with scratch_folder(folder) as place:
        program = place / "program"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        return _succeeds(str(program))
