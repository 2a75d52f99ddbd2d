"""One kernel with four old bugs brought back, and guests that boot it."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "guest_kernel"))
sys.path.append(str(Path(__file__).parent.parent / "plugin"))  # bisections of a miniature Linux

import bugs

from pytest_kbisect.demo.change import AnchorError


@pytest.fixture(scope="session")
def buggy(linux_clone, tmp_path_factory) -> str:
    """A commit on the demo's bad end, which has one of the bugs already, with the other three."""
    others = [bug for bug in bugs.BUGS if bug.reproducer != linux_clone.demo.reproducer]
    changes = [change for bug in others for change in bug.changes]
    index = tmp_path_factory.mktemp("index") / "index"
    try:
        return linux_clone.edited("Four bugs", changes, index, linux_clone.demo.bad)
    except AnchorError as error:
        pytest.skip(f"not every bug can be had in Linux {linux_clone.demo.version}: {error}")


@pytest.fixture(scope="session")
def configuration(tmp_path_factory) -> Path:
    """What lets one kernel have all four, and run disk images, as a file for --kbisect-config."""
    path = tmp_path_factory.mktemp("config") / "bugs.config"
    path.write_text("\n".join(bugs.config()) + "\n")
    return path


STORED = "KBISECT_TEST_KERNELS"
"""A folder with kernels for tests in level 1 (see level_one.py), where none are built."""
ACCELERATOR = "KBISECT_TEST_ACCEL"
"""--kbisect-accel for the guests of these tests."""


@contextlib.contextmanager
def kernel_of(request, name: str, commit):
    """A stored kernel, or one built from the commit that `commit` returns, once, and kept."""
    from pytest_kbisect.kernel import config
    from pytest_kbisect.kernel.image import KernelImage
    from pytest_kbisect.kernel.provide import provide
    from pytest_kbisect.kernel.rules import BuildRules
    from pytest_kbisect.kernel.tree import LinuxTree

    if stored := os.environ.get(STORED):
        folder = Path(stored) / name
        yield KernelImage(
            commit="",
            signature=(folder / "signature").read_text(),
            config=folder / "config",
            image=folder / "bzImage",
            vmlinux=folder / "vmlinux",
            compiler="",
            release="",
            seconds=0.0,
            cached=True,
        )
        return
    linux, cache = request.getfixturevalue("linux_clone"), request.getfixturevalue("real_cache")
    asked = config.request([request.getfixturevalue("configuration")])
    tree = LinuxTree(linux.path, cache)
    with provide(tree, commit(), asked, jobs=os.cpu_count() or 1, rules=BuildRules(10 << 30)) as kernel:
        yield kernel


@pytest.fixture(scope="session")
def buggy_kernel(request):
    """The kernel with the four bugs, built once and kept."""
    with kernel_of(request, "buggy", lambda: request.getfixturevalue("buggy")) as kernel:
        yield kernel


@pytest.fixture(scope="session")
def sound_kernel(request):
    """The demo's good end, configured in the same way."""
    with kernel_of(request, "sound", lambda: request.getfixturevalue("linux_clone").demo.good) as kernel:
        yield kernel


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    from pytest_kbisect.guest import initramfs

    return initramfs.build(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="session")
def accelerated(buggy_kernel, real_cache):
    """Arguments of a machine: the accelerator that works here, as sessions choose it."""
    from pytest_kbisect.guest import accelerator

    chosen = accelerator.choose(os.environ.get(ACCELERATOR, "auto"), real_cache, buggy_kernel.image)
    return {"accelerator": chosen.name, "cpu": chosen.cpu}


@pytest.fixture
def machine(buggy_kernel, image, accelerated):
    from pytest_kbisect.guest.qemu import Machine

    return Machine(kernel=buggy_kernel.image, initramfs=image.initramfs, **accelerated)


@pytest.fixture
def guest(machine, image, tmp_path):
    """A booted guest."""
    from pytest_kbisect.guest.vm import Guest

    with Guest(machine, image, tmp_path / "guest") as guest:
        guest.boot(60)
        yield guest
