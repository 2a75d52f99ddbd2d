"""What tests of builds share: a miniature Linux, a cache, processes."""

from __future__ import annotations

import multiprocessing
import subprocess
from typing import TYPE_CHECKING

import pytest
from miniature import FakeLinux

from pytest_kbisect.kernel import signature

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import ForkServerContext


@pytest.fixture
def linux(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    return FakeLinux(tmp_path / "linux")


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """Makes processes that share nothing with this one; what they import was imported for all of them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["pytest", "git", "pytest_kbisect.kernel.ahead", "pytest_kbisect.kernel.provide"]
    )
    return context


@pytest.fixture
def signed(tmp_path) -> Callable[..., str]:
    """Links a program of C without libc, start() being its entry, and gives its kernel signature."""
    count = 0

    def signed(source: str, *flags: str) -> str:
        nonlocal count
        count += 1
        elf = tmp_path / f"vmlinux{count}"
        fixed = ["-nostdlib", "-static", "-fno-pie", "-no-pie", "-Wl,-e,start", "-Wl,--build-id=none"]
        command = ["gcc", "-xc", *fixed, *flags, "-o", str(elf), "-"]
        subprocess.run(command, input=source.encode(), check=True, cwd=tmp_path)
        return signature.of_vmlinux(elf)

    return signed
