"""`repeat.sh`: boots the kernel that crashed and runs the reproducer in it once, by hand.

It needs QEMU and nothing else: no ssh, no cache, no Python. The reproducers are in an initramfs whose
first process runs them; the console is the terminal. Where guests had a disk image (which must still be
where it was), that process puts them into the image's root file system, into a layer that is thrown away.
They run there once the image's ssh server listens, as runs did.
"""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect import options
from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.atomic import replacing
from pytest_kbisect.cpio import Archive
from pytest_kbisect.errors import HostError
from pytest_kbisect.guest import user_space
from pytest_kbisect.guest.arguments import qemu_arguments
from pytest_kbisect.guest.disk import escaped, look_at
from pytest_kbisect.guest.initramfs import FIND_ROOT, INIT, finding_root, installing, own_script
from pytest_kbisect.guest.qemu import icount_arguments, kernel_arguments
from pytest_kbisect.guest.readiness import SERVICES_STARTED
from pytest_kbisect.kernel.modules import ARCHIVE as MODULES
from pytest_kbisect.reports.text import one_line
from pytest_kbisect.reports.words import short

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_kbisect.arch import Architecture
    from pytest_kbisect.guest.disk import DiskImage
    from pytest_kbisect.guest.user_space import UserSpace
    from pytest_kbisect.needs import Needs
    from pytest_kbisect.reports.report_model import ReportModel
    from pytest_kbisect.reproducer_kinds import GuestProgram

FOLDER = "repeat"
INITRAMFS = f"{FOLDER}/initramfs.cpio"

_GUEST = {name: options.default(name) for name in ("memory", "cpus", "timeout")}
"""What guests had, where the result is of a version that did not record it."""
_SSHD = "\ndropbear "
"""In the guest's own init, what is before it sets the guest up."""
_HAND_OVER = "\numount /proc /sys\n"
"""In the init of a guest with a disk image, what is before it has mounted the image's root at /new."""
_LISTENS = ":0016 0*:0000 0A "
"""How /proc/net/tcp has a server at port 22."""


@dataclass(frozen=True, slots=True)
class Program:
    """A reproducer: the name of its file, and how a guest runs it."""

    name: str
    program: GuestProgram
    needs: Needs


def initramfs(programs: Sequence[Program], files: UserSpace, seconds: float) -> bytes:
    """An initramfs whose init sets the guest up as runs have it, runs the programs in turn, and ends.

    `seconds` a program may take that names no limit.
    """
    archive = Archive()
    for name in ("proc", "sys", "dev", "run", "mnt"):
        archive.directory(name)
    archive.directory("tmp", 0o1777)
    archive.directory("root", 0o700)
    archive.character_device("dev/console", 5, 1)
    archive.file("bin/busybox", files.busybox.read_bytes(), 0o755)
    archive.symlink("bin/sh", "busybox")
    setup = own_script(INIT).partition(_SSHD)[0]
    lines = [installing(setup), "cd /root", *_running(programs, archive, seconds)]
    archive.file("init", "\n".join(lines).encode() + b"\n", 0o755)
    return archive.bytes()


def initramfs_for_disk(programs: Sequence[Program], files: UserSpace, seconds: float) -> bytes:
    """The same for guests with a disk image.

    Its init hands over to the image's, and has the programs run beside it.
    """
    setup, _, rest = own_script(FIND_ROOT).partition(_HAND_OVER)
    begin = "cp -r /repro /new/ && cp /bin/busybox /new/repro/\nchroot /new /repro/busybox sh /repro/run &"
    archive = finding_root(files, f"{setup}\n{begin}{_HAND_OVER}{rest}")
    own = "/repro/busybox "
    lines = [
        f"until {own}grep -q '{_LISTENS}' /proc/net/tcp /proc/net/tcp6; do {own}sleep 1; done 2>/dev/null",
        SERVICES_STARTED,
        "cd /root",
        *_running(programs, archive, seconds, own),
    ]
    archive.file("repro/run", "\n".join(lines).encode() + b"\n")
    return archive.bytes()


def _running(programs: Sequence[Program], archive: Archive, default: float, busybox: str = "") -> list[str]:
    """The lines that run programs, which go into the archive, and end the guest.

    `busybox` begins its commands.
    """
    lines = []
    for program in programs:
        name = _safe(program.name)
        folder = f"repro/{name}"
        for file, mode in program.program.modes().items():
            archive.file(f"{folder}/{file}", program.program.files[file].read_bytes(), mode)
        seconds = f"{program.needs.timeout or default:g}"
        lines += [
            f'echo "repeat.sh: running {name} for at most {seconds} s"',
            f"{busybox}timeout -s KILL {seconds} {shlex.join(program.program.words(f'/{folder}'))}",
            f'echo "repeat.sh: {name} ended with status $?"',
        ]
    # What the kernel has to say may come a little later; and init must not end, or it panics for that.
    return [
        *lines,
        f"{busybox}sleep 2",
        'echo "repeat.sh: done"',
        f"{busybox}reboot -f",
        f"{busybox}sleep 60",
    ]


def script(
    story: ReportModel,
    programs: Sequence[Program],
    disk: DiskImage | None = None,
    architecture: Architecture = DEFAULT,
) -> str:
    """The shell script; without programs that a guest can run alone it runs pytest."""
    crashing = story.crashing
    commit = crashing.commit if crashing else story.result.culprit
    title = crashing.title if crashing else story.result.title
    lines = [
        "#!/bin/sh",
        f"# {one_line(story.result.crash)}",
        f"# at {short(commit)} {one_line(title)}",
        "#",
    ]
    how = _qemu(story, programs, disk, architecture) if programs else _pytest(story, commit)
    return "\n".join(lines + how) + "\n"


def _guest(story: ReportModel) -> dict[str, float]:
    return _GUEST | story.result.guest


def _kernel(architecture: Architecture) -> str:
    return f"{FOLDER}/{architecture.image_name}"


def _qemu(
    story: ReportModel, programs: Sequence[Program], disk: DiskImage | None, architecture: Architecture
) -> list[str]:
    guest = _guest(story)
    needs = [program.needs for program in programs]
    cmdline = _each_once(story.result.cmdline, *(need.cmdline for need in needs))
    arguments = " ".join([kernel_arguments(architecture), *cmdline])
    extra = qemu_arguments(_each_once(story.result.qemu, *(need.qemu for need in needs)), "repeat.sh")
    memory = max(program.needs.memory or guest["memory"] for program in programs)
    cpus = 1 if story.result.icount else max(program.needs.cpus or guest["cpus"] for program in programs)
    icount = shlex.join(icount_arguments(counts=story.result.icount))
    return [
        "# Boots that kernel and runs the reproducer in it once. Ctrl-C ends the guest.",
        "# ACCEL=kvm is faster where KVM works; ARGUMENTS are added to the kernel's command line.",
        "set -eu",
        'cd "$(dirname "$0")"',
        f"exec {architecture.qemu} \\",
        f"    -machine {architecture.machine} -nodefaults -no-user-config -display none -no-reboot \\",
        f'    -accel "${{ACCEL:-tcg}}" -cpu {architecture.cpu} -m {memory} -smp {cpus} \\',
        "    -chardev stdio,id=console,signal=on -serial chardev:console \\",
        "    -device virtio-rng-pci \\",
        "    -netdev user,id=net0,restrict=on -device virtio-net-pci,netdev=net0,romfile= \\",
        *([f"    {icount} \\"] if icount else []),
        *_drive(disk),
        f"    -kernel {_kernel(architecture)} -initrd {INITRAMFS} \\",
        *([f"    {shlex.join((*extra, '-snapshot'))} \\"] if extra else []),
        f'    -append "{_quoted(arguments)} ${{ARGUMENTS:-}}"',
    ]


def _each_once(*groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for group in groups for one in group))


def _quoted(text: str) -> str:
    """A text as it is written between a shell's double quotes."""
    return re.sub(r'([\\"$`])', r"\\\1", text)


def _drive(disk: DiskImage | None) -> list[str]:
    if disk is None:
        return []
    drive = f"if=none,id=disk,snapshot=on,format={disk.format},file={escaped(disk.path)}"
    return [f"    -drive {shlex.quote(drive)} -device virtio-blk-pci,drive=disk \\"]


def _pytest(story: ReportModel, commit: str) -> list[str]:
    """The lines that run pytest: a Python reproducer needs its side on the host."""
    command = [*story.command, "--kbisect-range=", f"--kbisect-commit={commit}", "--kbisect-runs=1"]
    return [
        "# Runs the reproducer once on that kernel. Start it in the folder the bisection was started in.",
        f"exec {shlex.join(command)}",
    ]


def write(
    story: ReportModel,
    programs: Sequence[Program],
    kernel: Path | None,
    architecture: Architecture = DEFAULT,
    cache: Path | None = None,
) -> None:
    """Write repeat.sh, and what it boots. Without a kernel the one that is there stays.

    Raises OSError, HostError where there is no kernel or no busybox to boot, and UsageError where the guests'
    disk image is not what it was.
    """
    disk = look_at(Path(story.result.image)) if story.result.image else None
    if programs:
        files = user_space.of(architecture, cache)
        (story.folder / FOLDER).mkdir(exist_ok=True)
        image, modules = story.folder / _kernel(architecture), story.folder / FOLDER / MODULES
        if kernel is not None:
            with replacing(image) as unfinished:
                shutil.copyfile(kernel, unfinished)
            if kernel.with_name(MODULES).exists():
                with replacing(modules) as unfinished:
                    shutil.copyfile(kernel.with_name(MODULES), unfinished)
        if not image.exists():
            raise HostError(
                "the kernel that crashed is no longer in the cache: the same bisection builds it again"
            )
        with replacing(story.folder / INITRAMFS) as unfinished:
            make = initramfs_for_disk if disk else initramfs
            packed = modules.read_bytes() if modules.exists() else b""
            unfinished.write_bytes(make(programs, files, _guest(story)["timeout"]) + packed)
    elif not story.command or story.result.asked:
        return
    path = story.folder / "repeat.sh"
    path.write_text(script(story, programs, disk, architecture), encoding="utf-8")
    path.chmod(0o755)


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)
