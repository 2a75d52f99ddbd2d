"""One kernel with four old bugs brought back, and guests that boot it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "guest_kernel"))

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


@pytest.fixture(scope="session")
def buggy_kernel(linux_clone, buggy, real_cache, configuration):
    """The kernel with the four bugs, built once and kept."""
    from pytest_kbisect.kernel import config
    from pytest_kbisect.kernel.provide import provide
    from pytest_kbisect.kernel.rules import BuildRules
    from pytest_kbisect.kernel.tree import LinuxTree

    tree, request = LinuxTree(linux_clone.path, real_cache), config.request([configuration])
    with provide(tree, buggy, request, jobs=os.cpu_count() or 1, rules=BuildRules(10 << 30)) as kernel:
        yield kernel


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    from pytest_kbisect.guest import initramfs

    return initramfs.build(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="session")
def accelerated(buggy_kernel, real_cache):
    """Arguments of a machine: the accelerator that works here, as sessions choose it."""
    from pytest_kbisect.guest import accelerator

    chosen = accelerator.choose("auto", real_cache, buggy_kernel.image)
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
