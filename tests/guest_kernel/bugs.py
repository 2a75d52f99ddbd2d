"""Four mended bugs of Linux, each brought back by edits: the kernel that the shipped reproducers crash."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_kbisect.demo import key_commits
from pytest_kbisect.demo.change import Change, Edit
from pytest_kbisect.kernel.config import built_in


@dataclass(frozen=True, slots=True)
class Bug:
    """`reproducer` is a file of repro/; `config` is what a kernel needs besides a guest's own options.

    `title` begins the title of every crash (a race has several). `certain`: every run crashes.
    """

    reproducer: str
    changes: tuple[Change, ...]
    config: tuple[str, ...]
    title: str
    certain: bool = True


def _change(*edits: Edit) -> tuple[Change]:
    return (Change("", edits, ""),)


_TUN, _PERF, *_ = key_commits.BUGS
BUGS = (
    Bug(_TUN.reproducer, (_TUN.preparation, _TUN.culprit), ("CONFIG_TUN=y",), _TUN.crash),
    # The function has another name in older trees.
    Bug(_PERF.reproducer, (_PERF.culprit,), ("CONFIG_PERF_EVENTS=y",), "divide error in perf_"),
    Bug(
        # Without one of the two pieces that "pipe: fix pipe buffer resizing" made right.
        "test_pipe_resize.py",
        _change(
            Edit(
                "fs/pipe.c",
                r"\t\t\tif \(h > 0\)\s+memcpy\(bufs \+ tsize, pipe->bufs,[^;]*;\n",
                "",
                pattern=True,
            ),
        ),
        (),
        "BUG: unable to handle kernel NULL pointer dereference in ",
    ),
    Bug(
        # Without the lock of 1e38da300e1e.
        "timerfd_cancel_race.c",
        _change(
            Edit("fs/timerfd.c", "\tspin_lock(&ctx->cancel_lock);\n", "", times=2),
            Edit("fs/timerfd.c", "\tspin_unlock(&ctx->cancel_lock);\n", "", times=2),
        ),
        ("CONFIG_DEBUG_KERNEL=y", "CONFIG_DEBUG_LIST=y", "CONFIG_BUG_ON_DATA_CORRUPTION=y"),
        "BUG: corrupted list in ",
        certain=False,
    ),
)


DISK_IMAGE = ("disk-image.config", "disk-image-wanted.config")


def config() -> tuple[str, ...]:
    """The configuration that lets one kernel have all four and run disk images: slow tests build no other."""
    asked = [line for bug in BUGS for line in bug.config]
    for name in DISK_IMAGE:
        asked += built_in(name).text().splitlines()
    return tuple(asked)
