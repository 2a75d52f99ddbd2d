"""A clock that counts instructions: equal code gives equal numbers, in restored guests as in new ones."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest

from pytest_kbisect.guest.qemu import Machine

BENCHMARK = r"""
#include <fcntl.h>
#include <stdio.h>
#include <time.h>

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

int main(void)
{
	for (int group = 0; group < 9; group++) {
		double began = now();

		for (int i = 0; i < 20000; i++)
			fcntl(0, F_GETFD);
		printf("%.3f\n", (now() - began) / 20000);
	}
	return 0;
}
"""


def test_qemu_is_told_to_count():
    machine = Machine(kernel=Path("k"), initramfs=None, cpus=1)
    plain, counting = (
        " ".join(one.command(Path("c"), 3)) for one in (machine, replace(machine, icount=True))
    )
    assert "-icount" not in plain
    assert "-accel tcg,thread=single" in counting
    assert re.search(r"-icount shift=0,sleep=off ", counting)


@pytest.mark.guest
def test_equal_code_takes_equal_time(sound_kernel, image, tmp_path, real_cache):
    from pytest_kbisect.arch import DEFAULT
    from pytest_kbisect.guest import RESUME_SOURCE
    from pytest_kbisect.guest.guests import Guests
    from pytest_kbisect.guest.pool import Pool
    from pytest_kbisect.programs import compile_static, compiler

    def compiled(source, name):
        return compile_static(source, real_cache / "programs", name=name, compiler=compiler(DEFAULT))

    program = compiled(BENCHMARK, "fcntl")
    machine = Machine(kernel=sound_kernel.image, initramfs=image.initramfs, cpus=1, icount=True)
    found = []
    with Pool.create(tmp_path / "frozen"):
        pool = Pool(tmp_path / "frozen", lambda: 8 << 30)
        guests = Guests(
            pool, image, resume=lambda: compiled(RESUME_SOURCE, "resume"), boot_timeout=180, say=print
        )
        for number in range(3):  # of the first boot, of the second, of the first again
            with guests.guest(machine, tmp_path / f"guest{number}") as guest:
                assert guest.boot_number == number % 2
                done = guest.run_program(program, timeout=120)
                found.append(median(map(float, done.stdout.split())))
    assert max(found) / min(found) < 1.003
