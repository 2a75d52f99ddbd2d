"""One build: make in the O= folder of a slot, and the explanation of its failure."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_kbisect.errors import BuildError, ConfigError, HostError, KbisectError, UsageError
from pytest_kbisect.kernel import (
    ccache,
    configure,
    diagnosis,
    host_limits,
    modules,
    partial_make,
    sources,
    worktrees,
)
from pytest_kbisect.kernel.make import Make, Steps
from pytest_kbisect.kernel.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pytest_kbisect.arch import Architecture
    from pytest_kbisect.kernel.config import ConfigRequest
    from pytest_kbisect.kernel.modules import Modules
    from pytest_kbisect.kernel.sources import Sources
    from pytest_kbisect.kernel.toolchain import Toolchain
    from pytest_kbisect.kernel.tree import LinuxTree

OUTPUTS = 4
"""O= folders (configurations, compilers) that a slot keeps."""

PHASES: Final = ("checkout", "configure", "make")

_VERSION = re.compile(r"^(?:VERSION|PATCHLEVEL) *= *(\d+)", re.MULTILINE)
# Files that decide what a .config may be: Kconfig's own, the compiler checks they call, the defaults,
# and the Makefiles that say how compilers are called.
_SHAPES_CONFIG = re.compile(
    r"(?:^|/)(?:Kconfig[^/]*|[^/]*\.config|[^/]*defconfig)$|^scripts/|^(?:arch/[^/]+/)?Makefile[^/]*$"
)


@dataclass(frozen=True, slots=True)
class Built:
    """What a build made, still in its slot. `seconds` are by phase: PHASES, and waiting for a slot."""

    files: dict[str, Path]
    compiler: str
    release: str
    seconds: dict[str, float]
    sources: Sources
    ccache: tuple[int, int]
    """Compilations that the compiler cache had, and had not."""
    make: Make
    """Makes more in the same slot."""
    modules: Modules | None = None
    """Where the configuration asks for any."""


@contextlib.contextmanager
def build(
    linux: LinuxTree,
    commit: str,
    request: ConfigRequest,
    toolchain: Toolchain,
    *,
    jobs: int,
    log: Path,
    progress: Callable[[str], None],
    full: bool = False,
) -> Iterator[Built]:
    """Build a commit, and keep the slot for the block, so that the files can be copied.

    What is run and what it prints goes to `log`. `full`: configure in any case, and enter all directories.
    Raises BuildError, ConfigError, HostError.
    """
    jobs = host_limits.jobs_that_fit(jobs)
    name = f".obj-{_fingerprint(request, toolchain)}"
    progress("checkout")
    began = time.monotonic()

    def waiting() -> None:
        progress("wait for a build slot (other builds use them all)")

    edits = toolchain.remedies.edits
    with worktrees.slot(
        linux, commit, name, room=host_limits.DISK_FOR_BUILD, waiting=waiting, edits=edits
    ) as slot:
        seconds = {"checkout": time.monotonic() - began - slot.waited, "waiting": slot.waited}
        output = Output(slot.tree / name)
        if output.open():
            progress("build from nothing: the clock was set back since the last build")
        _drop_old(slot.tree, name)
        for last_try in (False, True):
            before = dict(output.state)
            try:
                make = Make(toolchain, slot, output, linux.cache, jobs, log)
                built = _attempt(linux, commit, request, make, progress=progress, seconds=seconds, full=full)
                break
            except BuildError as error:
                if last_try or not before or _believable(error, output, before):
                    raise
                # Stale files of another version can break a build that is sound, so it is not the
                # commit's fault until it fails from nothing.
                progress("build again from nothing: the failure may be that of files left by another commit")
                output.clear()
        yield built


def _attempt(
    linux: LinuxTree,
    commit: str,
    request: ConfigRequest,
    make: Make,
    *,
    progress: Callable[[str], None],
    seconds: dict[str, float],
    full: bool,
) -> Built:
    output, slot = make.output, make.slot
    architecture = make.toolchain.architecture
    began = time.monotonic()
    steps = Steps(progress, first="built" not in output.state)
    whole = output.state.pop("whole", "")
    if full or _config_may_differ(linux, output, commit):
        output.state.pop("configured", None)
        whole = ""
    output.state |= {"commit": commit, "version": _version(slot.tree)}
    output.begin()
    try:
        if "configured" not in output.state:
            progress("configure")
            configure.write(request, slot.tree, output.path, make.targets, make.merge)
            output.state["configured"] = commit
            output.save()
        configured = time.monotonic()
        steps.begin(output.path / ".config")
        if request.modules:  # what modpost reads in a directory that is not entered, no list says
            make.targets([architecture.target, "modules"], step=steps.one)
        else:
            entered = _directories(linux, output, whole, commit)
            make.targets([architecture.target], entered=entered, step=steps.one)
        release = (output.path / "include/config/kernel.release").read_text().strip()
        installed = modules.install(make, release) if request.modules else None
    except subprocess.CalledProcessError:
        output.end()
        raise _failure(commit, make) from None
    except ConfigError as error:
        output.end()
        error.log = str(make.log)
        raise
    if not _is_of(architecture, output.path):
        # What guests would boot is not what the signature says: never to be believed, always a fault.
        raise KbisectError(f"the image built of {commit[:12]} holds another kernel than its vmlinux")
    seconds["configure"] = configured - began
    seconds["make"] = time.monotonic() - configured
    output.state["built"] = commit
    try:
        read = sources.collect(
            slot.tree, output.path, architecture.source_folder, output.path / worktrees.SOURCES
        )
        # Never before the list is there: by one of an earlier build, make would pass by what it lacks.
        output.state["whole"] = commit
    finally:
        output.end()
    return Built(
        files={
            architecture.image_name: output.path / architecture.image,
            "vmlinux": output.path / "vmlinux",
            "config": output.path / ".config",
        },
        compiler=_compiler(output.path / "include/generated/compile.h") or make.toolchain.identity,
        release=release,
        seconds=seconds,
        sources=read,
        ccache=ccache.counted(make.log.parent),
        make=make,
        modules=installed,
    )


def _is_of(architecture: Architecture, output: Path) -> bool:
    """Whether the image contains the vmlinux that was just linked; True where that is not known."""
    vmlinux = output / "vmlinux"
    if not architecture.packed or not (output / architecture.packed).with_name("vmlinux").exists():
        return True
    packed = [
        path for path in output.glob(architecture.packed) if path.stat().st_mtime >= vmlinux.stat().st_mtime
    ]
    image = (output / architecture.image).read_bytes()
    return any(path.read_bytes() in image for path in packed)


def _version(tree: Path) -> str:
    return ".".join(_VERSION.findall((tree / "Makefile").read_text()))


def _drop_old(tree: Path, name: str) -> None:
    """Keep the O= folders that were used last: each takes as much disk as 10 to 100 kernels in the store."""
    folders = [path for path in tree.glob(".obj-*") if path.name != name]
    folders.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for folder in folders[OUTPUTS - 1 :]:
        shutil.rmtree(folder, ignore_errors=True)


def _fingerprint(request: ConfigRequest, toolchain: Toolchain) -> str:
    """Names an O= folder: another compiler or configuration never meets the files of this one."""
    text = f"{request.fingerprint} {toolchain.fingerprint} {toolchain.architecture.name}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _config_may_differ(linux: LinuxTree, output: Output, commit: str) -> bool:
    """Whether this commit's .config can differ from the one that lies there."""
    configured = output.state.get("configured")
    if not configured or not (output.path / ".config").exists():
        return True
    if configured == commit:
        return False
    try:
        changes = linux.changes(configured, commit)
    except UsageError:  # that commit has since been pruned from the user's repository
        return True
    read = sources.read(output.path / worktrees.SOURCES)
    return any(
        _SHAPES_CONFIG.search(change.path) and (not read.targets or read.matters(change))
        for change in changes
    )


def _directories(linux: LinuxTree, output: Output, whole: str, commit: str) -> frozenset[str] | None:
    """The directories that make has to enter; None means all.

    `whole` is the commit of which O= has everything; empty where there is none.
    """
    if not whole:
        return None
    try:
        changes = linux.changes(whole, commit)
        read = sources.read(output.path / worktrees.SOURCES)
        return partial_make.directories(output.path.parent, output.path, read, changes)
    except (UsageError, subprocess.CalledProcessError):  # pruned from the user's repository; grep fell over
        return None


def _believable(error: BuildError, output: Output, before: Mapping[str, str]) -> bool:
    """Whether a failure in a warm O= folder is the commit's fault: the compiler complains of its sources."""
    if isinstance(error, ConfigError):
        return True
    sources = diagnosis.sources_in(error.cause)
    own = bool(sources) and all((output.path.parent / source).exists() for source in sources)
    return own and before.get("version") == output.state["version"]


def _failure(commit: str, make: Make) -> BuildError | HostError:
    trouble = diagnosis.host_trouble(make.lines)
    if trouble:
        return HostError(f"building {commit[:12]} failed because {trouble}")
    prefixes = (f"{make.slot.tree}/", f"{make.output.path.name}/", "../")
    cause = diagnosis.root_cause(make.lines, prefixes) or tuple(line.strip() for line in make.lines[-3:])
    return BuildError(f"{commit[:12]} does not build: {cause[0]}", cause=cause, log=str(make.log))


def _compiler(header: Path) -> str:
    """LINUX_COMPILER, as the kernel prints it in its banner."""
    try:
        match = re.search(r'#define LINUX_COMPILER\s+"(.*)"', header.read_text())
    except OSError:
        return ""
    return match[1] if match else ""


def facts(built: Built) -> dict[str, Any]:
    """What the store keeps about a build."""
    return {
        "compiler": built.compiler,
        "release": built.release,
        "seconds": {phase: round(seconds, 3) for phase, seconds in built.seconds.items()},
        "ccache": built.ccache,
    }
