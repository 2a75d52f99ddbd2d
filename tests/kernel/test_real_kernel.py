"""Signatures, failures and warm folders on a real Linux: a full build the first time, then the store."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import bugs
import pytest

from pytest_kbisect import process
from pytest_kbisect.crash.location import locate
from pytest_kbisect.errors import BuildError, ConfigError
from pytest_kbisect.kernel import config, symbols
from pytest_kbisect.kernel.provide import provide
from pytest_kbisect.kernel.rules import BuildRules
from pytest_kbisect.kernel.tree import LinuxTree

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.kernel

RULES = BuildRules(store_limit=10 << 30)
SHARED = tuple(("bugs.py", line) for line in bugs.config())
WARNING_FREE = "lib/list_sort.c"
WARNS = "net/core/skbuff.c"


@pytest.fixture(scope="module")
def linux(linux_clone):
    return linux_clone


@pytest.fixture
def commit(linux, tmp_path):
    return lambda title, files: linux.commit(title, files, tmp_path / "index")


@pytest.fixture(scope="module")
def give(linux, real_cache):
    """Call provide() for a commit, with the configuration that all slow tests share: one full build."""

    def give(commit, lines=SHARED, said=None):
        tree = LinuxTree(linux.path, real_cache)
        tell = (lambda _: None) if said is None else said.append
        request = config.request([], lines)
        return provide(tree, commit, request, jobs=os.cpu_count() or 1, rules=RULES, progress=tell)

    return give


@pytest.fixture(scope="module")
def base(linux, give):
    with give(linux.base) as kernel:
        yield kernel


def loaded_sections(vmlinux):
    from elftools.elf.elffile import ELFFile

    with vmlinux.open("rb") as file:
        return {
            section.name: section.data()
            for section in ELFFile(file).iter_sections()
            if section.header.sh_flags & 2 and section.header.sh_type != "SHT_NOBITS"
        }


def functions_of(vmlinux):
    """Addresses and sizes of functions, by name."""
    found = {}
    for line in process.run(["nm", "-S", vmlinux]).decode().splitlines():
        words = line.split()
        if len(words) == 4 and words[2] in "tT":
            found.setdefault(words[3], set()).add((int(words[0], 16), int(words[1], 16)))
    return found


def test_image_says_nothing_of_when_where_and_what_commit(linux, base):
    release = ".".join((*linux.demo.version.split(".")[:2], "0-kbisect"))  # of any stable release
    data = loaded_sections(base.vmlinux)[".rodata"]
    banner = re.search(rb"Linux version [^\n]*", data)[0].decode()
    assert banner.startswith(f"Linux version {release} (kbisect@kbisect) (gcc ")
    assert banner.endswith("Sat Jan  1 00:00:00 UTC 2000")
    assert base.release == release
    assert base.compiler in banner
    assert str(base.image.parent.parent).encode() not in base.vmlinux.read_bytes()


def test_guest_has_what_it_needs(base):
    values = config.values(base.config.read_text())
    assert values["TUN"] == "y"
    assert all(values.get(symbol) == value for symbol, value in config.request().settings().items())
    assert values["VMGENID"] == "y"
    assert values["SLUB"] == "y"
    assert "DEBUG_INFO" not in values
    assert base.vmlinux.stat().st_size < 100 << 20


def test_symbols_of_a_stack_are_where_the_kernel_has_its_functions(linux, base, real_cache):
    functions = {"pskb_expand_head", "vfs_write", "entry_SYSCALL_64"}
    with symbols.symbols_for(
        base,
        functions,
        LinuxTree(linux.path, real_cache),
        config.request([], SHARED),
        jobs=os.cpu_count() or 1,
        rules=RULES,
    ) as made:
        found, own = functions_of(made), functions_of(base.vmlinux)
        assert found.keys() >= {"pskb_expand_head", "vfs_write"}
        assert all(own[name] >= places for name, places in found.items())
        (address, _), *_ = found["pskb_expand_head"]
        *_, place = locate(made, [address])[address]
    assert (place.function, place.path) == ("pskb_expand_head", WARNS)


class TestSignatureIsEqual:
    def test_after_a_change_to_documentation(self, linux, give, base, commit):
        text = linux.read("Documentation/index.rst")
        with give(commit("Documentation", {"Documentation/index.rst": f"{text}\nWords.\n"})) as kernel:
            assert kernel.signature == base.signature

    def test_after_a_comment_that_moves_no_warning(self, linux, give, base, commit):
        text = linux.read(WARNING_FREE)
        with give(commit("A comment", {WARNING_FREE: f"/*\n * Words.\n */\n{text}"})) as kernel:
            assert kernel.signature == base.signature

    @pytest.mark.parametrize("path", [WARNS, "fs/pipe.c", "kernel/fork.c"])
    def test_after_a_comment_that_moves_warnings(self, linux, give, base, commit, path):
        with give(commit("Moves them", {path: f"/* Words. */\n{linux.read(path)}"})) as kernel:
            ours, theirs = loaded_sections(kernel.vmlinux), loaded_sections(base.vmlinux)
            differing = {name for name in ours if ours[name] != theirs[name]}
            assert kernel.signature == base.signature
            assert "__bug_table" in differing

    def test_after_a_comment_behind_all_code(self, linux, give, base, commit):
        with give(commit("Behind", {WARNS: f"{linux.read(WARNS)}\n/* Words. */\n"})) as kernel:
            assert kernel.signature == base.signature

    def test_after_a_stable_release(self, linux, give, base, commit):
        makefile = re.sub(
            r"^SUBLEVEL = \d+$", "SUBLEVEL = 255", linux.read("Makefile"), count=1, flags=re.MULTILINE
        )
        makefile = re.sub(r"^EXTRAVERSION =.*$", "EXTRAVERSION = -rc9", makefile, count=1, flags=re.MULTILINE)
        with give(commit("Another release", {"Makefile": makefile})) as kernel:
            assert kernel.signature == base.signature


class TestSignatureDiffers:
    def test_after_a_change_to_code(self, linux, give, base, commit):
        text = linux.read(WARNS)
        changed = text.replace(
            "skb->truesize = SKB_TRUESIZE(size);", "skb->truesize = SKB_TRUESIZE(size) + 1;"
        )
        assert changed != text
        with give(commit("Code", {WARNS: changed})) as kernel:
            assert kernel.signature != base.signature

    def test_after_a_warning_that_is_shown_once(self, linux, give, base, commit):
        """One flag in the bug table, beside the line."""
        text = linux.read("kernel/fork.c")
        changed = text.replace("WARN_ON(", "WARN_ON_ONCE(", 1)
        assert changed != text
        with give(commit("Once", {"kernel/fork.c": changed})) as kernel:
            assert kernel.signature != base.signature


class TestFailure:
    def test_names_the_line_and_leaves_a_folder_that_builds(self, linux, give, commit):
        text = linux.read(WARNING_FREE)
        broken = commit("Broken", {WARNING_FREE: f"{text}\nint oops(void) {{ return fortytwo; }}\n"})
        with pytest.raises(BuildError) as caught, give(broken):
            pass
        assert f"{broken[:12]} does not build: {WARNING_FREE}:" in str(caught.value)
        assert "'fortytwo' undeclared" in caught.value.cause[0]
        with give(commit("Mended", {WARNING_FREE: f"{text}\nint oops(void) {{ return 42; }}\n"})) as kernel:
            assert kernel.signature

    def test_of_the_configuration_names_the_dependency(self, linux, give):
        with (
            pytest.raises(ConfigError, match=r"CONFIG_BTRFS_FS=y \(x\): depends on BLOCK") as caught,
            give(linux.base, lines=(("x", "CONFIG_BTRFS_FS=y\nCONFIG_NOT_THERE=y"),)),
        ):
            pass
        assert caught.value.symbols == ("BTRFS_FS", "NOT_THERE")
