"""Which compiler and which remedies a range is built with."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pytest_kbisect.arch.x86_64 import X86_64
from pytest_kbisect.errors import HostError, UsageError
from pytest_kbisect.kernel import compiler_choice, config, provide, toolchain
from pytest_kbisect.kernel.compiler_choice import Ends
from pytest_kbisect.kernel.rules import ANY, BuildRules, CompilerName
from pytest_kbisect.kernel.tree import LinuxTree

HELPER = "tools/lib/subcmd/subcmd-util.h"
OLD = "\t\tret = realloc(ptr, 1);\n"
MINIMUM = "#!/bin/sh\ncase $1 in\ngcc)\n\techo {}\n\t;;\nesac\n"


@pytest.fixture
def compilers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make compilers, by name and what they say is their version, the only ones in PATH."""
    folder = tmp_path / "compilers"
    folder.mkdir()
    tools = tmp_path / "tools"
    tools.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for path in Path(place).iterdir() if Path(place).is_dir() else ():
            link = tools / path.name
            if not link.exists() and not path.name.startswith(("gcc", "clang")):
                link.symlink_to(path)
    gcc = shutil.which("gcc")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{tools}")

    def compilers(**versions: str) -> None:
        for name, version in versions.items():
            path = folder / name.replace("_", "-")
            path.write_text(f'#!/bin/sh\n[ "$*" = --version ] && exec echo "{version}"\nexec {gcc} "$@"\n')
            path.chmod(0o755)

    return compilers


@pytest.fixture
def choose(linux, cache):
    def choose(*revisions: str, named: CompilerName = ANY, base: str = "", remedies: bool = True):
        tree = LinuxTree(linux.path, cache)
        commits = tuple((name, tree.resolve(name)) for name in revisions or ("HEAD",))
        between = (commits[0][1], commits[1][1]) if len(commits) == 2 else None
        files = []
        if base:
            path = cache.parent / "whole.config"
            path.write_text(f"#\n# Automatically generated file; DO NOT EDIT.\n{base}")
            files = [path]
        request = config.request(files)
        ends = Ends(commits, between)
        return compiler_choice.choose(tree, ends, [request], named, with_remedies=remedies)

    return choose


def test_it_is_the_newest_that_builds_both_ends(linux, choose, compilers) -> None:
    compilers(gcc="gcc (Mine) 12.2.0", gcc_9="gcc-9 (Mine) 9.5.0", gcc_14="gcc-14 (Mine) 14.1.0")
    chosen = choose()
    assert chosen.compiler == CompilerName("gcc-14")
    assert chosen.words[0].startswith("compiler: gcc-14 (Mine) 14.1.0, GNU ld")
    linux.commit("Old", {HELPER: OLD})
    linux.git("tag", "v1")
    linux.commit("New", {HELPER: "", "scripts/min-tool-version.sh": MINIMUM.format("10.1.0")})
    chosen = choose("v1", "HEAD")
    assert (chosen.compiler, chosen.names) == (CompilerName("gcc-14"), ("52a9dab6d892",))
    linux.git("tag", "v2")
    with_nothing = choose("v1", remedies=False)
    assert with_nothing.compiler == CompilerName("gcc-9")
    assert "gcc 14.1.0 is too new for v1: objtool does not compile" in with_nothing.why
    assert choose("v1", "v2", remedies=False).compiler == CompilerName("gcc-14"), "none builds both"
    assert any("known to fail" in note for note in choose("v1", "v2", remedies=False).notes)


def test_the_one_without_a_number_comes_first_among_equals(choose, compilers) -> None:
    compilers(gcc="gcc (Mine) 12.2.0", gcc_12="gcc-12 (Mine) 12.2.0", gcc_11="gcc-11 (Mine) 11.3.0")
    assert choose().compiler == ANY
    assert choose(named=CompilerName("gcc-11")).compiler == CompilerName("gcc-11")


def test_a_compiler_that_cannot_be_used(linux, choose, compilers) -> None:
    compilers(gcc="gcc (Mine) 12.2.0", gcc_4="gcc-4 (Mine) 4.4.1", silent="mine")
    linux.commit("New", {"scripts/min-tool-version.sh": MINIMUM.format("5.1.0")})
    with pytest.raises(
        UsageError, match=r"--kbisect-cc=gcc-4: gcc 4.4.1 is too old for HEAD, which wants 5.1"
    ):
        choose(named=CompilerName("gcc-4"))
    with pytest.raises(UsageError, match=r"--kbisect-cc=silent: .* prints no version of gcc or clang"):
        choose(named=CompilerName("silent"))
    with pytest.raises(UsageError, match=r"gcc-77 is not installed: apt-get install gcc-77"):
        choose(named=CompilerName("gcc-77"))
    with pytest.raises(
        UsageError, match=r"clang-77 is not installed: apt-get install clang-77 lld-77 llvm-77"
    ):
        choose(named=CompilerName(llvm="-77"))
    linux.commit("Newer", {"scripts/min-tool-version.sh": MINIMUM.format("99.1")})
    with pytest.raises(HostError, match=r"no installed compiler can build this: gcc 12.2.0 is too old"):
        choose()


def test_a_compiler_for_another_architecture(choose, compilers, tmp_path, monkeypatch) -> None:
    compilers(gcc="gcc (Mine) 12.2.0")
    other = tmp_path / "compilers" / "arm-gcc"
    other.write_text("#!/bin/sh\n[ $1 = --version ] && exec echo 'arm-gcc 12.2.0'\nexit 1\n")
    other.chmod(0o755)
    with pytest.raises(UsageError, match=r"arm-gcc 12.2.0\) makes no code for x86_64"):
        choose(named=CompilerName("arm-gcc"))


def test_a_range_in_which_the_architecture_appears(linux, choose) -> None:
    linux.commit("Another", {"arch/arm/Kconfig": ""})
    with pytest.raises(UsageError, match=r"HEAD does not support x86_64 \(no arch/x86\)"):
        choose()
    linux.commit("Ours", {"arch/x86/Kconfig": ""})
    assert choose()


def test_what_comes_and_goes_inside_a_range_is_seen(linux, choose, compilers) -> None:
    compilers(gcc="gcc (Mine) 12.2.0")
    linux.git("tag", "v1")
    linux.commit("Old", {HELPER: OLD})
    linux.commit("New", {HELPER: "\n"})
    linux.git("tag", "v2")
    assert choose("v2").names == ()
    assert choose("v1", "v2").names == ("52a9dab6d892",)
    assert choose("v1", "v2", remedies=False).names == ()


def test_settings_are_remedies_where_the_configuration_has_them(linux, choose, cache) -> None:
    linux.commit("New", {"init/Kconfig": "config WERROR\n\tbool\n"})
    assert choose().names == ()
    chosen = choose(base="CONFIG_WERROR=y\n")
    assert chosen.names == ("3fe617ccafd6",)
    tools, request = provide.prepared(config.request(), chosen.rules(BuildRules(1 << 30)))
    assert request.wanted[-1].settings == (("WERROR", "n"),)
    plain, _ = provide.prepared(config.request(), BuildRules(1 << 30))
    assert tools.fingerprint != plain.fingerprint


def test_a_configuration_of_another_kind_of_compiler_is_mentioned(choose) -> None:
    made = 'CONFIG_CC_VERSION_TEXT="Debian clang version 15.0.6"\n'
    (note,) = choose(base=made).notes
    assert "whole.config was made for clang (Debian clang version 15.0.6), and gcc builds here" in note
    assert "--kbisect-llvm chooses clang" in note
    assert choose(base='CONFIG_CC_VERSION_TEXT="gcc (Debian 10.2.1) 10.2.1"\n').notes == ()


def test_arguments_of_make_say_which_tools(monkeypatch, tmp_path) -> None:
    folder = tmp_path / "llvm"
    folder.mkdir()
    for tool in (
        "clang",
        "clang++",
        "ld.lld",
        *(f"llvm-{tool}" for tool in ("ar", "nm", "objcopy", "objdump", "readelf", "strip")),
    ):
        path = folder / f"{tool}-17"
        path.write_text("#!/bin/sh\n[ $1 = --version ] && echo 'Debian clang version 17.0.6'\nexit 0\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    tools = toolchain.find(X86_64, CompilerName(llvm="-17"))
    arguments = tools.arguments(".obj")
    assert {"LLVM=1", "LD=ld.lld-17", "HOSTCC=clang-17", "NM=llvm-nm-17"} <= {*arguments}
    assert tools.kind == "clang"
    assert tools.versions == {"clang": (17, 0, 6)}
    assert toolchain.find(X86_64, CompilerName("clang-17")).versions.keys() == {"clang", "ld", "host gcc"}
    (folder / "llvm-nm-17").unlink()
    with pytest.raises(HostError, match=r"llvm-nm-17 not installed: apt-get install clang-17 lld-17 llvm-17"):
        toolchain.find(X86_64, CompilerName(llvm="-17"))
    assert toolchain.find().arguments(".obj")[:2] == ["O=.obj", "ARCH=x86_64"]
