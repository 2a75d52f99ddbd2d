"""Four mended bugs of Linux, each brought back by edits: the kernel that the shipped reproducers crash."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_kbisect.demo import story
from pytest_kbisect.demo.change import Edit
from pytest_kbisect.kernel.config import built_in


@dataclass(frozen=True, slots=True)
class Bug:
    """`reproducer` is a file of repro/; `config` is what a kernel needs besides a guest's own options.

    `title` begins the title of every crash (a race has several). `certain`: every run crashes.
    """

    reproducer: str
    edits: tuple[Edit, ...]
    config: tuple[str, ...]
    title: str
    certain: bool = True


BUGS = (
    Bug(
        "tun_napi_frags.c",
        (story.PREPARATION, *story.CULPRIT.edits),
        ("CONFIG_TUN=y",),
        "WARNING in pskb_expand_head",
    ),
    Bug(
        # Without the lower limit of 723478c8a471.
        "perf_sample_rate.sh",
        (
            Edit(
                "kernel/sysctl.c",
                r'("perf_event_max_sample_rate",[^}]*?)\t\t\.extra1\s*= SYSCTL_ONE,\n',
                r"\1",
                pattern=True,
            ),
        ),
        ("CONFIG_PERF_EVENTS=y",),
        "divide error in perf_proc_update_handler",
    ),
    Bug(
        # Without one of the two pieces that "pipe: fix pipe buffer resizing" made right.
        "test_pipe_resize.py",
        (
            Edit(
                "fs/pipe.c",
                r"\t\t\tif \(h > 0\)\s+memcpy\(bufs \+ tsize, pipe->bufs,[^;]*;\n",
                "",
                pattern=True,
            ),
        ),
        (),
        "BUG: unable to handle kernel NULL pointer dereference in pipe_read",
    ),
    Bug(
        # Without the lock of 1e38da300e1e.
        "timerfd_cancel_race.c",
        (
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


def edits() -> tuple[Edit, ...]:
    """All edits, on a distribution's 6.1.y; no two touch the same text."""
    return tuple(edit for bug in BUGS for edit in bug.edits)
