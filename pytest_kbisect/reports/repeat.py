"""`repeat.sh`: boots the kernel that crashed and runs the reproducer in it once, by hand.

It needs QEMU and nothing else: no ssh, no cache, no Python. The reproducers are in an initramfs whose
first process runs them; the console is the terminal.
"""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from pytest_kbisect.guest.cpio import Archive
from pytest_kbisect.guest.qemu import KERNEL_ARGUMENTS, QEMU
from pytest_kbisect.reports.trailers import one_line
from pytest_kbisect.reports.whole import replacing
from pytest_kbisect.reports.words import short

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_kbisect.needs import Needs
    from pytest_kbisect.reports.story import Story

FOLDER = "repeat"
KERNEL = f"{FOLDER}/bzImage"
INITRAMFS = f"{FOLDER}/initramfs.cpio"

_MEMORY, _CPUS, _SECONDS = 512, 2, 30.0
"""What a guest gets where its reproducer asks for nothing."""
_SSHD = "\ndropbear "
"""In the guest's own init, what is before it sets the guest up."""


@dataclass(frozen=True, slots=True)
class Program:
    """A reproducer as the guest runs it: a static executable, or a script for its shell."""

    name: str
    path: Path
    needs: Needs


def initramfs(programs: Sequence[Program], busybox: Path) -> bytes:
    """An initramfs whose init sets the guest up as runs have it, runs the programs in turn, and ends."""
    archive = Archive()
    for name in ("proc", "sys", "dev", "run", "mnt", "repro"):
        archive.directory(name)
    archive.directory("tmp", 0o1777)
    archive.directory("root", 0o700)
    archive.character_device("dev/console", 5, 1)
    archive.file("bin/busybox", busybox.read_bytes(), 0o755)
    archive.symlink("bin/sh", "busybox")
    setup = resources.files("pytest_kbisect.guest").joinpath("init.sh").read_text("utf-8").partition(_SSHD)[0]
    head, _, rest = setup.partition("\n")
    lines = [head, "/bin/busybox --install -s /bin", rest, "cd /root"]
    for program in programs:
        name = _safe(program.name)
        script = program.path.suffix == ".sh"
        archive.file(f"repro/{name}", program.path.read_bytes(), 0o644 if script else 0o755)
        seconds = f"{program.needs.timeout or _SECONDS:g}"
        lines += [
            f'echo "repeat.sh: running {name} for at most {seconds} s"',
            f"timeout -s KILL {seconds} {'sh ' if script else ''}/repro/{name}",
            f'echo "repeat.sh: {name} ended with status $?"',
        ]
    # What the kernel has to say may come a little later; and init must not end, or it panics for that.
    lines += ["sleep 2", 'echo "repeat.sh: done"', "reboot -f", "sleep 60"]
    archive.file("init", "\n".join(lines).encode() + b"\n", 0o755)
    return archive.bytes()


def script(story: Story, programs: Sequence[Program]) -> str:
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
    return "\n".join(lines + (_qemu(programs) if programs else _pytest(story, commit))) + "\n"


def _qemu(programs: Sequence[Program]) -> list[str]:
    memory = max(program.needs.memory or _MEMORY for program in programs)
    cpus = max(program.needs.cpus or _CPUS for program in programs)
    return [
        "# Boots that kernel and runs the reproducer in it once. Ctrl-C ends the guest.",
        "# ACCEL=kvm is faster where KVM works; ARGUMENTS are added to the kernel's command line.",
        "set -eu",
        'cd "$(dirname "$0")"',
        f"exec {QEMU} \\",
        "    -machine pc -nodefaults -no-user-config -display none -no-reboot \\",
        f'    -accel "${{ACCEL:-tcg}}" -cpu max -m {memory} -smp {cpus} \\',
        "    -chardev stdio,id=console,signal=on -serial chardev:console \\",
        "    -device virtio-rng-pci \\",
        "    -netdev user,id=net0,restrict=on -device virtio-net-pci,netdev=net0,romfile= \\",
        f"    -kernel {KERNEL} -initrd {INITRAMFS} \\",
        f'    -append "{KERNEL_ARGUMENTS} ${{ARGUMENTS:-}}"',
    ]


def _pytest(story: Story, commit: str) -> list[str]:
    """A Python reproducer needs its host's side."""
    command = [*story.command, "--kbisect-range=", f"--kbisect-commit={commit}", "--kbisect-runs=1"]
    return [
        "# Runs the reproducer once on that kernel. Start it in the folder the bisection was started in.",
        f"exec {shlex.join(command)}",
    ]


def write(story: Story, programs: Sequence[Program], kernel: Path | None, busybox: Path | None) -> None:
    """Write repeat.sh, and what it boots. Without a kernel the one that is there stays. Raises OSError."""
    if programs and busybox is not None:
        (story.folder / FOLDER).mkdir(exist_ok=True)
        if kernel is not None:
            with replacing(story.folder / KERNEL) as unfinished:
                shutil.copyfile(kernel, unfinished)
        if not (story.folder / KERNEL).exists():
            return
        with replacing(story.folder / INITRAMFS) as unfinished:
            unfinished.write_bytes(initramfs(programs, busybox))
    elif not story.command:
        return
    path = story.folder / "repeat.sh"
    path.write_text(script(story, programs), encoding="utf-8")
    path.chmod(0o755)


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)
