"""What a guest costs: restored, booted, and booted by virtme-ng, in turns on one machine.

    python tests/benchmarks/restoring.py BZIMAGE [--runs 20] [--vng VNG] [--at-once 4] [--image DISK]

A run is: have a guest, run `true` in it, let it settle, end it. For virtme-ng (`pip install virtme-ng`)
it is `vng --run BZIMAGE -- true`, which needs a kernel with 9p and a virtio console. With a disk image,
guests have its user space, and the kernel needs what kernel/fragments/disk-image.config has. Prints
medians with the 10th and 90th percentile, ratios to a booted guest, where the time of a restored one
goes, and time and memory of several restored at once, each in a process of its own.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect.guest import RESUME_SOURCE, initramfs
from pytest_kbisect.guest.disk import DiskImage, look_at
from pytest_kbisect.guest.guests import Guests
from pytest_kbisect.guest.pool import BOOTS, Pool
from pytest_kbisect.guest.qemu import Machine
from pytest_kbisect.guest.vm import Guest
from pytest_kbisect.kernel.host_limits import memory_available
from pytest_kbisect.programs import compile_static

if TYPE_CHECKING:
    from collections.abc import Callable

_LEAD = 2.0
"""Seconds that processes which are to begin at the same moment get to be ready."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where everything is; another process makes the same guests from it."""

    kernel: Path
    folder: Path
    disk: DiskImage | None

    def machine(self) -> Machine:
        user_space = initramfs.build(self.folder / "image", self.disk)
        return Machine(kernel=self.kernel, initramfs=user_space.initramfs, disk=self.disk)

    def guests(self, *, frozen: bool) -> Guests:
        pool = Pool(self.folder / "frozen", memory_available) if frozen else None
        resume = compile_static(RESUME_SOURCE, self.folder / "programs", name="resume")
        user_space = initramfs.build(self.folder / "image", self.disk)
        return Guests(pool, user_space, resume=lambda: resume, boot_timeout=300, say=print)


def one(guests: Guests, machine: Machine, folder: Path) -> dict[str, float]:
    """Seconds of the parts of one run, in order."""
    marks = [("", time.monotonic())]
    with guests.guest(machine, folder) as guest:
        marks.append(("until it takes commands", time.monotonic()))
        guest.run("true")
        marks.append(("first command", time.monotonic()))
        guest.run("true")
        marks.append(("second command", time.monotonic()))
        guest.settle()
        marks.append(("settling", time.monotonic()))
    marks.append(("ending it", time.monotonic()))
    parts = {name: end - begin for (_, begin), (name, end) in itertools.pairwise(marks)}
    return {"first answer": marks[2][1] - marks[0][1], **parts, "all": marks[-1][1] - marks[0][1]}


def by_virtme(vng: str, kernel: Path) -> dict[str, float]:
    """The same by virtme-ng; it tells no parts."""
    started = time.monotonic()
    words = [vng, "--run", str(kernel), "--disable-kvm", "--disable-microvm", "--force-9p"]
    words += ["--cpus", "2", "--memory", "512M", "--", "true"]
    path = f"{Path(vng).absolute().parent}{os.pathsep}{os.environ['PATH']}"  # it calls virtme-run
    subprocess.run(
        words,
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=600,
        env=os.environ | {"PATH": path},
    )
    return {"all": time.monotonic() - started}


def at_once(bench: Bench, number: int, start: float) -> tuple[float, int]:
    """In a process of its own: seconds until the first answer since `start`, bytes of memory then."""
    guests, machine = bench.guests(frozen=True), bench.machine()
    with guests.guest(machine, bench.folder / f"warm{number}") as guest:  # imports, keys, page cache
        guest.run("true")
    time.sleep(max(0.0, start - time.time()))
    begun = time.time()
    with guests.guest(machine, bench.folder / f"guest{number}") as guest:
        guest.run("true")
        seconds = time.time() - begun
        time.sleep(max(0.0, start + 5 - time.time()))  # all are there when memory is counted
        return seconds, _memory(guest)


def _memory(guest: Guest) -> int:
    """Bytes that a guest's QEMU takes: its own, and its share of what it shares with others."""
    for line in Path(f"/proc/{guest._qemu.process.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    raise AssertionError


def _row(values: list[float]) -> str:
    values = sorted(values)
    low, high = values[len(values) // 10], values[-1 - len(values) // 10]
    return f"{values[len(values) // 2]:7.3f} [{low:.3f}, {high:.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kernel", type=Path)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--vng", default="")
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--image", type=Path)
    asked = parser.parse_args()
    disk = look_at(asked.image.absolute()) if asked.image else None
    with tempfile.TemporaryDirectory(prefix="restoring-") as name:
        bench = Bench(asked.kernel.absolute(), Path(name), disk)
        with Pool.create(bench.folder / "frozen"):
            _compare(bench, asked.runs, asked.vng)
            _together(bench, asked.at_once)


def _compare(bench: Bench, runs: int, vng: str) -> None:
    machine, folder = bench.machine(), bench.folder / "guest"
    restored, booted = bench.guests(frozen=True), bench.guests(frozen=False)
    kinds: dict[str, Callable[[], dict[str, float]]] = {
        "restored": lambda: one(restored, machine, folder),
        "booted": lambda: one(booted, machine, folder),
    }
    if vng:
        kinds["virtme-ng"] = lambda: by_virtme(vng, bench.kernel)
    freezing = [one(restored, machine, folder)["first answer"] for _ in range(BOOTS)]
    print(f"first answer of the runs that boot and freeze: {', '.join(f'{s:.2f}' for s in freezing)} s")
    parts: dict[str, dict[str, list[float]]] = {kind: defaultdict(list) for kind in kinds}
    for _ in range(runs):
        for kind, run in kinds.items():
            for part, seconds in run().items():
                parts[kind][part].append(seconds)
    load = Path("/proc/loadavg").read_text().split()[0]
    print(f"{runs} runs each in turns, seconds: median [10 %, 90 %] (load {load})")
    for kind in kinds:
        for part, values in parts[kind].items():
            ratio = [own / other for own, other in zip(parts["booted"][part], values, strict=False)]
            against = f"   {_row(ratio)} times as fast as booted" if part in {"all", "first answer"} else ""
            print(f"{kind:10} {part:24} {_row(values)}{against if ratio and kind != 'booted' else ''}")


def _together(bench: Bench, count: int) -> None:
    size = bench.machine().memory << 20
    with ProcessPoolExecutor(count) as workers:
        start = time.time() + _LEAD + 4 * count
        found = list(workers.map(at_once, [bench] * count, range(count), [start] * count))
    seconds, memory = max(s for s, _ in found), sum(m for _, m in found)
    print(
        f"{count} restored at once: the last one's first answer after {seconds:.3f} s; "
        f"{memory >> 20} MiB for all, {memory / count / size:.0%} of {count} x {size >> 20} MiB"
    )


if __name__ == "__main__":
    main()
