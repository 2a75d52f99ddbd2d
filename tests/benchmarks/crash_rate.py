"""Do restored guests crash as often as booted ones? A racing reproducer, run alternately in both.

    python tests/benchmarks/crash_rate.py BZIMAGE [--runs 200] [--rounds 4000]

BZIMAGE is a kernel with the bug of repro/timerfd_cancel_race.c (as the tests build it). The program is
that reproducer with fewer rounds, so that only some of its runs crash. Runs alternate, so that whatever
else the machine does hits both alike. Prints both rates with Wilson's 95 % intervals, and Fisher's
exact two-sided p of their difference.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path

from pytest_kbisect.errors import KernelCrash
from pytest_kbisect.guest import RESUME_SOURCE, initramfs
from pytest_kbisect.guest.guests import Guests
from pytest_kbisect.guest.pool import Pool
from pytest_kbisect.guest.qemu import Machine
from pytest_kbisect.kernel.host_limits import memory_available
from pytest_kbisect.programs import compile_static

REPRODUCER = Path(__file__).parent.parent.parent / "repro" / "timerfd_cancel_race.c"


def wilson(hits: int, runs: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval (E. B. Wilson, 1927)."""
    rate, square = hits / runs, z * z / runs
    middle = rate + square / 2
    width = z * math.sqrt(rate * (1 - rate) / runs + square / runs / 4)
    return (middle - width) / (1 + square), (middle + width) / (1 + square)


def fisher(a: int, b: int, runs: int) -> float:
    """Two-sided p of a and b hits in as many runs each."""
    hits = a + b

    def chance(k: int) -> float:
        return math.comb(runs, k) * math.comb(runs, hits - k) / math.comb(2 * runs, hits)

    seen = chance(a)
    possible = range(max(0, hits - runs), min(hits, runs) + 1)
    return min(1.0, sum(p for k in possible if (p := chance(k)) <= seen * (1 + 1e-9)))


def crashes(guests: Guests, machine: Machine, program: Path, folder: Path) -> tuple[bool, int | None, float]:
    """Whether one run crashed, in which boot, and the seconds it took."""
    started = time.monotonic()
    crashed, boot = False, None
    with guests.guest(machine, folder) as guest:
        boot = guest.boot_number
        try:
            guest.run_program(program, timeout=20, may_time_out=True)
            guest.settle()
        except KernelCrash:
            crashed = True
    return crashed, boot, time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("kernel", type=Path)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=4000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crash-rate-") as name:
        folder = Path(name)
        source = REPRODUCER.read_text().replace("#define ROUNDS\t12000", f"#define ROUNDS {asked.rounds}")
        program = compile_static(source, folder / "programs", name="race")
        resume = compile_static(RESUME_SOURCE, folder / "programs", name="resume")
        user_space = initramfs.build(folder / "image")
        machine = Machine(kernel=asked.kernel, initramfs=user_space.initramfs)
        with Pool.create(folder / "frozen"):
            pool = Pool(folder / "frozen", memory_available)
            kinds = {
                "restored": Guests(pool, user_space, resume=lambda: resume, boot_timeout=120, say=print),
                "booted": Guests(None, user_space, resume=lambda: resume, boot_timeout=120, say=print),
            }
            ends: dict[str, list[tuple[bool, int | None, float]]] = {kind: [] for kind in kinds}
            for number in range(asked.runs):
                for kind, guests in kinds.items():
                    ends[kind].append(crashes(guests, machine, program, folder / "guest"))
                if number % 20 == 19:
                    print(number + 1, {kind: sum(end[0] for end in ends[kind]) for kind in kinds}, flush=True)
    for kind, all_of in ends.items():
        report(kind, all_of)
    hits = [sum(end[0] for end in ends[kind]) for kind in kinds]
    print(f"p of the difference (Fisher, two-sided): {fisher(*hits, asked.runs):.3f}")


def report(kind: str, ends: list[tuple[bool, int | None, float]]) -> None:
    """One line of the result."""
    hits = sum(crashed for crashed, _, _ in ends)
    low, high = wilson(hits, len(ends))
    seconds = sorted(seconds for _, _, seconds in ends)[len(ends) // 2]
    boots = {boot: [crashed for crashed, number, _ in ends if number == boot] for _, boot, _ in ends}
    by_boot = ", ".join(
        f"boot {boot}: {sum(c)}/{len(c)}" for boot, c in sorted(boots.items()) if len(boots) > 1
    )
    print(
        f"{kind:9} {hits}/{len(ends)} crashed: {hits / len(ends):.3f} [{low:.3f}, {high:.3f}], "
        f"median {seconds:.2f} s a run {by_boot}"
    )


if __name__ == "__main__":
    main()
