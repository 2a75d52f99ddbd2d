# SPDX-License-Identifier: MIT
"""NULL pointer dereference in pipe_read: a pipe is resized while its ring wraps around.

F_SETPIPE_SZ copies the buffers of the old ring to the start of a new one, in two pieces where they
wrap. The first version lost a piece (mended by "pipe: fix pipe buffer resizing",
v2.6.35), and a reader then meets buffers without operations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_kbisect import Guest

WRAPPED_RING = r"""
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PAGE	4096
#define SLOTS	16

static char page[PAGE];

static void put(int fd, char mark)
{
	memset(page, mark, PAGE);
	if (write(fd, page, PAGE) != PAGE)
		err(1, "write");
}

static void get(int fd, char mark)
{
	if (read(fd, page, PAGE) != PAGE)
		err(1, "read");
	if (page[0] != mark || memcmp(page, page + 1, PAGE - 1))
		errx(2, "read '%c' where '%c' was written", page[0], mark);
}

int main(void)
{
	int fd[2], i;

	if (pipe2(fd, O_NONBLOCK))
		err(1, "pipe2");
	if (fcntl(fd[1], F_SETPIPE_SZ, SLOTS * PAGE) != SLOTS * PAGE)
		err(1, "F_SETPIPE_SZ");

	/* Tail in the middle, head wrapped behind it. */
	for (i = 0; i < SLOTS; i++)
		put(fd[1], 'A' + i);
	for (i = 0; i < SLOTS / 2; i++)
		get(fd[0], 'A' + i);
	for (i = 0; i < SLOTS / 2; i++)
		put(fd[1], 'a' + i);

	if (fcntl(fd[1], F_SETPIPE_SZ, 2 * SLOTS * PAGE) < 0)
		err(1, "F_SETPIPE_SZ");

	for (i = SLOTS / 2; i < SLOTS; i++)
		get(fd[0], 'A' + i);
	for (i = 0; i < SLOTS / 2; i++)
		get(fd[0], 'a' + i);
	return 0;
}
"""


@pytest.mark.kbisect(
    timeout=20,
    crash=[
        "BUG: unable to handle kernel NULL pointer dereference in pipe_read",
        "BUG: unable to handle kernel NULL pointer dereference in anon_pipe_read",  # newer kernels
    ],
)
def test_a_resized_ring_keeps_its_buffers(vm: Guest, program: Callable[[str], Path]) -> None:
    result = vm.run_program(program(WRAPPED_RING), timeout=10)
    assert result.exit_status == 0, result.stderr
