"""What a worker states about its host: versions, compilers, room for guests, and what the doctor found."""

from __future__ import annotations

import os
import platform
import shutil
import time
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from pytest_kbisect import arch, host, options, parallel
from pytest_kbisect.errors import KbisectError
from pytest_kbisect.kernel import host_limits, toolchain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_kbisect.doctor import Finding

_PACKAGES: Final = ("pytest-kbisect", "pytest", "pytest-xdist", "distributed", "dask")


def versions() -> dict[str, str]:
    """What must be the same on the driver and on a worker, by name."""
    # The installed version of this package is of the day that it was installed; a checkout goes on.
    from pytest_kbisect import __version__

    named = {name: metadata.version(name) for name in _PACKAGES[1:]}
    return {"pytest-kbisect": __version__, "Python": ".".join(platform.python_version_tuple()[:2]), **named}


def toolchains() -> dict[str, str]:
    """The compiler and linker for each architecture that this host can build, by the architecture's name."""
    found = {}
    for architecture in arch.BUILT_IN:
        try:
            found[architecture.name] = toolchain.find(architecture).identity
        except KbisectError:
            continue
    return found


def guests(memory: int) -> int:
    """Guests of so many MiB that fit into processors and memory."""
    available = host_limits.memory_available() // host_limits.MIB
    return parallel.workers(parallel.processors(), available, memory).count


def now(cache: Path) -> dict[str, Any]:
    """What changes: the clock (seconds since the epoch), free memory and disk (MiB), and whether they
    suffice.
    """
    from pytest_kbisect.doctor import Severity, machine

    findings = [machine.memory(), machine.cache_folder(cache)]
    return {
        "clock": time.time(),
        "memory": host_limits.memory_available() // host_limits.MIB,
        "disk": shutil.disk_usage(host_limits.existing(cache)).free // host_limits.MIB,
        "problems": [finding.text for finding in findings if finding.state is Severity.PROBLEM],
    }


def constant(cache: Path, *, sessions: int, clone: Path | None) -> dict[str, Any]:
    """What does not change while a worker runs; the doctor's findings included (a guest is booted)."""
    from pytest_kbisect.doctor import Severity

    findings = list(_checks(cache))
    return {
        "versions": versions(),
        "node": platform.node(),
        "machine": platform.machine(),
        "processor": parallel.processor_model(),
        "processors": parallel.processors(),
        "kvm": any(finding.name == "kvm" and "works" in finding.text for finding in findings),
        "guests": guests(options.default("memory")),
        "sessions": sessions,
        "toolchains": toolchains(),
        "qemu": host.version(arch.DEFAULT.qemu),
        "cache": str(cache),
        "clone": "" if clone is None else str(clone),
        "findings": [{**asdict(finding), "state": str(finding.state)} for finding in findings],
        "faults": [finding.text for finding in findings if finding.state is Severity.PROBLEM],
        "pid": os.getpid(),
    }


def _checks(cache: Path) -> Iterator[Finding]:
    from pytest_kbisect.doctor import Severity, compiler, machine, virtualization

    yield from machine.tools()
    yield machine.ccache()
    yield machine.memory()
    yield (folder := machine.cache_folder(cache))
    yield from compiler.check(None, (), cache)
    if folder.state is not Severity.PROBLEM:
        yield from virtualization.check(cache)
