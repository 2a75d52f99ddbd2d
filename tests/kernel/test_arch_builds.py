"""Architectures: that of another plugin, seen by make and QEMU; and that no code but the table knows one."""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
import tokenize
from pathlib import Path

import pytest
from miniature import FakeLinux

from pytest_kbisect import Architecture, HostError, UsageError, arch, plugins
from pytest_kbisect.arch.arm64 import ARM64
from pytest_kbisect.guest import accelerator, initramfs
from pytest_kbisect.guest.qemu import Machine
from pytest_kbisect.kernel import config, provide, toolchain
from pytest_kbisect.kernel.rules import BuildRules
from pytest_kbisect.kernel.tree import LinuxTree

ROOT = Path(__file__).parents[2]
RULES = BuildRules(1 << 30)
CROSS = ("gcc", "ld")
FACTS = re.compile(r"x86|aarch64-|riscv64-|bzImage|tty(?:S|AMA)\d|qemu-system-\w|\bEM_[A-Z]")

sys.path.insert(0, str(ROOT / "tests" / "plugin"))
import pages  # noqa: E402


@pytest.fixture
def arm64() -> Architecture:
    return ARM64


@pytest.fixture
def cross_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's own, under the cross compiler's name."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in CROSS:
        tool = folder / f"aarch64-linux-gnu-{name}"
        tool.write_text(f'#!/bin/sh\nexec {shutil.which(name)} "$@"\n')
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(toolchain, "_require_builds", lambda *_: None)
    return folder


def test_make_is_called_for_it(tmp_path: Path, arm64: Architecture, cross_compiler: Path) -> None:
    linux = FakeLinux(tmp_path / "linux")
    makefile = (linux.path / "Makefile").read_text()
    makefile = makefile.replace("bzImage", "Image").replace("arch/x86", "arch/arm64")
    makefile = makefile.replace("gcc -g", "$(CROSS_COMPILE)gcc -g")
    names = dict(config.for_guest(arm64).settings)
    kconfig = "".join(f"config {name}\n\tbool\n\n" for name in names)
    commit = linux.commit("arm64", {"Makefile": makefile, "Kconfig": kconfig})
    tree, request = LinuxTree(linux.path, tmp_path / "cache"), config.request(architecture=arm64)
    with provide.provide(tree, commit, request, jobs=1, rules=RULES) as kernel:
        assert kernel.image.name == "Image"
        log = (kernel.image.parent / "build.log").read_text()
        assert config.values(kernel.config.read_text())["SERIAL_AMBA_PL011"] == "y"
    (command, *_) = [
        line for line in log.splitlines() if line.startswith("$ make ") and line.endswith(" Image")
    ]
    assert " ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- CC=" in command
    assert "ACPI" not in request.settings()


def test_its_kernels_are_other_kernels(arm64: Architecture, cross_compiler: Path) -> None:
    ours, theirs = (toolchain.find(one) for one in (arch.DEFAULT, arm64))
    assert ours.prefix == ""
    assert theirs.compiler == "aarch64-linux-gnu-gcc"
    request = config.request()
    keys = {provide.key_of("f" * 40, request, tools, RULES) for tools in (ours, theirs)}
    assert len(keys) == 2


def test_without_the_cross_compiler_its_packages_are_named(
    arm64: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    which = shutil.which
    monkeypatch.setattr(
        toolchain.shutil,
        "which",
        lambda name, **words: None if name.startswith("aarch64") else which(name, **words),
    )
    with pytest.raises(HostError, match=r"not installed: .*apt-get install gcc-aarch64-linux-gnu"):
        toolchain.find(arm64)


def test_qemu_is_called_for_it(tmp_path: Path, arm64: Architecture) -> None:
    command = Machine(kernel=tmp_path / "Image", initramfs=None, architecture=arm64).command(tmp_path, 3)
    assert command[0] == "qemu-system-aarch64"
    assert command[command.index("-machine") + 1] == "virt,gic-version=max"
    assert "console=ttyAMA0 " in command[command.index("-append") + 1]
    assert not [word for word in command if re.search(r"x86|bzImage|ttyS\d", word)]


def test_guests_of_another_architecture_are_emulated(tmp_path: Path, arm64: Architecture) -> None:
    chosen = accelerator.choose("auto", tmp_path, tmp_path / "Image", arm64)
    assert (chosen.name, chosen.cpu) == ("tcg", "cortex-a72")
    with pytest.raises(HostError, match=r"of aarch64 need programs .*: run kbisect setup --arch aarch64"):
        initramfs.build(tmp_path / "image", architecture=arm64, cache=tmp_path)


def test_a_session_uses_the_one_that_is_named(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(pages.plugin("ppc64le_kernels.py"))
    pytester.makepyfile(
        """
        from pytest_kbisect.stash import session_of

        def test_it(pytestconfig):
            session = session_of(pytestconfig)
            asked = pytestconfig.getoption("kbisect_arch")
            assert session.config_request("").architecture.kbuild == {"ppc64le": "powerpc"}.get(asked, asked)
        """
    )
    for name in ("arm64", "riscv", "ppc64le"):
        pytester.runpytest(f"--kbisect-arch={name}").assert_outcomes(passed=1)
    result = pytester.runpytest("--kbisect-arch=vax")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    error = "ERROR: unknown architecture 'vax' (known: ppc64le, x86_64, aarch64, riscv64): give another --kbisect-arch"
    assert error in result.errlines


def test_built_in_ones_are_registered_as_others_are() -> None:
    assert arch.registered(plugins.load()) == arch.BUILT_IN
    with pytest.raises(UsageError, match="unknown architecture 'vax'"):
        arch.named("vax", arch.BUILT_IN)


def test_no_code_outside_the_table_knows_an_architecture() -> None:
    """crash/ reads the consoles of all architectures; syzkaller/ and syzbot/ translate names of them."""
    package = ROOT / "pytest_kbisect"
    paths = [
        path
        for path in package.rglob("*.py")
        if path.relative_to(package).parts[0] not in {"arch", "crash", "syzkaller", "syzbot"}
    ]
    found = [
        f"{path}:{token.start[0]}: {token.string[:60]}"
        for path in paths
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
        if token.type != tokenize.COMMENT and FACTS.search(token.string)
    ]
    assert len(paths) > 100
    assert not found
