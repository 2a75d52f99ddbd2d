"""From a commit to a kernel in the store, on a miniature Linux with a real git, make and gcc."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from pytest_kbisect.errors import BuildError, ConfigError, HostError, UsageError
from pytest_kbisect.kernel import config, host_limits, partial_make, provide, sources, toolchain
from pytest_kbisect.kernel.rules import BuildRules
from pytest_kbisect.kernel.tree import LinuxTree

RULES = BuildRules(store_limit=10 << 30)
FULL = BuildRules(store_limit=10 << 30, full=True)
NO_ROOM = BuildRules(store_limit=0)
USES = "int answer = A;\nvoid start(void)\n{\n\tfor (;;)\n\t\tanswer++;\n}\n"
MAIN = "int answer = 42;\nvoid start(void)\n{\n\tfor (;;)\n\t\tanswer++;\n}\n"


@pytest.fixture
def give(linux, cache):
    """Call provide.provide(), keep what it said in .said."""

    def give(commit="HEAD", lines=(), rules=RULES):
        tree = LinuxTree(linux.path, cache)
        request = config.request([], lines)
        give.said = []
        return provide.provide(
            tree, tree.resolve(commit), request, jobs=2, rules=rules, progress=give.said.append
        )

    return give


class TestKernel:
    def test_is_built_once_and_then_taken(self, linux, give):
        with give() as kernel:
            assert kernel.commit == linux.base
            assert not kernel.cached
            assert len(kernel.signature) == 64
            assert kernel.compiler == "fake gcc"
            assert kernel.release == "6.1.0-kbisect"
            assert kernel.image.name == "bzImage"
            assert kernel.vmlinux.read_bytes()[:4] == b"\x7fELF"
            assert "CONFIG_VIRTIO_NET=y" in kernel.config.read_text()
            assert kernel.seconds > 0
        assert give.said[:2] == ["checkout", "configure"]
        assert "build 0%" in give.said
        with give() as again:
            assert again.cached
            assert again.signature == kernel.signature
        assert give.said == []
        assert linux.builds == 1

    def test_of_commits_with_equal_files_is_one(self, linux, give):
        with give() as kernel:
            pass
        again = linux.commit("Nothing at all", {})
        with give() as other:
            assert other.cached
            assert other.commit == again
            assert other.signature == kernel.signature

    def test_comments_change_the_key_but_not_the_signature(self, linux, give):
        with give() as kernel:
            pass
        linux.commit("A comment", {"init/main.c": f"/* words */\n{MAIN}"})
        with give() as commented:
            assert not commented.cached
            assert commented.signature == kernel.signature
        linux.commit("Code", {"init/main.c": MAIN.replace("42", "43")})
        with give() as changed:
            assert changed.signature != kernel.signature

    def test_says_what_having_it_took(self, linux, give):
        with give() as kernel:
            assert kernel.spent.checkout > 0 < kernel.spent.make
            assert kernel.seconds == pytest.approx(
                kernel.spent.checkout + kernel.spent.configure + kernel.spent.make, abs=0.01
            )
        with give() as again:
            assert again.spent.make == again.spent.checkout == 0
            assert again.seconds == kernel.seconds

    def test_files_stay_while_it_is_in_use(self, linux, give):
        with give(rules=NO_ROOM) as kernel:
            linux.commit("Code", {"init/main.c": MAIN.replace("42", "43")})
            with give(rules=NO_ROOM) as other:
                assert kernel.image.exists()
                assert other.image.exists()
        linux.commit("More code", {"init/main.c": MAIN.replace("42", "44")})
        with give(rules=NO_ROOM):
            assert not kernel.image.exists()

    def test_nothing_of_the_environment_reaches_make(self, linux, give, monkeypatch):
        for name in ("MAKEFLAGS", "KCFLAGS", "ARCH", "CROSS_COMPILE", "KBUILD_OUTPUT", "O"):
            monkeypatch.setenv(name, "--nonsense")
        with give() as kernel:
            assert kernel.signature


class TestSkipping:
    """A commit that changes nothing which was read takes the kernel it has, without make."""

    @pytest.fixture
    def base(self, linux, give):
        linux.commit("A header", {"include/linux/kernel.h": "", "include/linux/unused.h": ""})
        linux.commit("It is used", {"init/main.c": f"#include <linux/kernel.h>\n{MAIN}"})
        with give() as kernel:
            assert not kernel.cached
            return kernel

    def test_without_make(self, linux, give, base):
        for path in (
            "Documentation/words.rst",
            "arch/arm64/Makefile",
            "drivers/x.c",
            "include/linux/unused.h",
        ):
            commit = linux.commit("Unread", {path: "#error never compiled\n"})
            with give() as kernel:
                assert (kernel.commit, kernel.same_as, kernel.cached) == (commit, base.commit, True)
                assert kernel.signature == base.signature
                assert kernel.vmlinux.read_bytes() == base.vmlinux.read_bytes()
                assert not kernel.spent.make
            assert len(give.said) == 1
            assert f"nothing that was read for {base.commit[:12]} differs" in give.said[0]
            with give():
                assert give.said == []
        assert linux.builds == 1

    def test_but_for_what_was_read(self, linux, give, base):
        linux.commit("Read", {"include/linux/kernel.h": "#define NOTHING\n"})
        with give() as kernel:
            assert not kernel.cached
            assert not kernel.same_as

    def test_is_from_any_kernel_of_the_family_and_never_at_second_hand(self, linux, give, base):
        linux.commit("Words", {"Documentation/a.rst": "a"})
        with give():
            pass
        linux.commit("More", {"Documentation/b.rst": "b"})
        with give() as kernel:
            assert kernel.same_as == base.commit
        with give(lines=[("x", "CONFIG_TUN=y")]) as kernel:
            assert not kernel.same_as

    def test_is_from_an_ancestor_however_many_have_a_nearer_date(self, linux, give, base, monkeypatch):
        monkeypatch.setattr("pytest_kbisect.kernel.tree.LinuxTree.nearest", lambda *_: [])
        linux.commit("Words", {"Documentation/a.rst": "a"})
        linux.commit("More", {"Documentation/b.rst": "b"})
        with give() as kernel:
            assert kernel.same_as == base.commit

    def test_is_a_choice(self, linux, give, base):
        linux.commit("Words", {"Documentation/a.rst": "a"})
        with give(rules=FULL) as kernel:
            assert not kernel.same_as

    def test_may_be_wrong_and_a_full_build_never_is(self, linux, give, monkeypatch):
        """A list lacks a header: its kernel is taken for another commit's, but not where builds are full."""
        linux.commit("Wrong lists", {"scripts/fixdep.sh": "echo 'source_init/main.o := ../init/main.c'\n"})
        header = "include/linux/answer.h"
        linux.commit(
            "A header", {header: "#define A 42\n", "init/main.c": f"#include <linux/answer.h>\n{USES}"}
        )
        with give() as before:
            pass
        linux.commit("Another answer", {header: "#define A 43\n"})
        with give() as wrong:
            assert wrong.signature == before.signature
        monkeypatch.setattr(partial_make, "directories", lambda *_: pytest.fail("what is to be left out?"))
        with give(rules=FULL) as right:
            assert not right.cached
            assert not right.same_as
            assert right.signature != before.signature
        assert "configure" in give.said
        with give(rules=FULL) as again:
            assert again.cached
        with give() as still:
            assert still.signature == wrong.signature, "kernels of both kinds are kept apart"

    def test_needs_a_list_of_what_was_read(self, linux, give, cache):
        linux.commit("No .cmd files", {"scripts/fixdep.sh": ""})
        with give() as kernel:
            assert sources.read(kernel.sources).targets == {}
        linux.commit("Words", {"Documentation/a.rst": "a"})
        with give() as kernel:
            assert not kernel.same_as

    def test_outlives_the_kernel_it_was_taken_from(self, linux, give, base, cache):
        linux.commit("Words", {"Documentation/a.rst": "a"})
        with give():
            pass
        for entry in (cache / "kernels").glob("*/kernel.json"):
            if json.loads(entry.read_text())["commit"] == base.commit:
                shutil.rmtree(entry.parent)
        with give() as kernel:
            assert kernel.vmlinux.read_bytes()[:4] == b"\x7fELF"


class TestConfiguration:
    def test_what_a_reproducer_asks_for_is_there(self, give):
        with give(lines=[("repro/tun.c", "CONFIG_TUN=y")]) as kernel:
            assert "CONFIG_TUN=y" in kernel.config.read_text()

    def test_a_missing_symbol_is_named_with_its_source_and_remembered(self, linux, give):
        for _ in range(2):
            with (
                pytest.raises(
                    ConfigError, match=r"CONFIG_KASAN=y \(repro/oob\.c\): no such symbol"
                ) as caught,
                give(lines=[("repro/oob.c", "CONFIG_KASAN=y")]),
            ):
                pass
            assert caught.value.symbols == ("KASAN",)
            assert "\n" not in str(caught.value)
        assert give.said == []
        assert linux.builds == 0

    def test_an_unmet_dependency_is_named(self, linux, give):
        kconfig = (linux.path / "Kconfig").read_text()
        linux.commit("TUN wants CRYPTO", {"Kconfig": f"{kconfig}\nconfig OOB\n\tbool\n\tdepends on CRYPTO\n"})
        script = (linux.path / "scripts/olddefconfig.sh").read_text()
        linux.commit(
            "Kconfig drops it",
            {
                "scripts/olddefconfig.sh": script.replace(
                    "if (name in known)", 'if (name in known && name != "CONFIG_OOB")'
                )
            },
        )
        with (
            pytest.raises(ConfigError, match=r"CONFIG_OOB=y \(x\): depends on CRYPTO"),
            give(lines=[("x", "OOB=y")]),
        ):
            pass

    def test_is_not_made_again_where_nothing_shapes_it(self, linux, give):
        with give():
            pass
        linux.commit("Code", {"init/main.c": MAIN.replace("42", "43")})
        with give():
            assert "configure" not in give.said
        linux.commit("Kconfig", {"net/Kconfig": "config NEW\n"})
        with give():
            assert "configure" in give.said


class TestFailure:
    def test_is_explained_logged_and_remembered(self, linux, give):
        bad = linux.commit("Oops", {"init/main.c": MAIN.replace("answer = 42", "answer = fortytwo")})
        for _ in range(2):
            with (
                pytest.raises(
                    BuildError, match=rf"{bad[:12]} does not build: init/main\.c:1:14: error"
                ) as caught,
                give(),
            ):
                pass
            assert caught.value.cause[0].startswith("init/main.c:1:14: error: 'fortytwo' undeclared")
            assert "fortytwo" in Path(caught.value.log).read_text()
        assert linux.builds == 1

    def test_of_a_warm_folder_is_believed_only_from_nothing(self, linux, give):
        with give():
            pass
        linux.commit("Who knows why", {"scripts/slowly.sh": "exit 1\n", "init/main.c": f"{MAIN}\n"})
        with pytest.raises(BuildError), give():
            pass
        assert [word for word in give.said if "from nothing" in word]

    def test_then_the_next_commit_builds(self, linux, give):
        linux.commit("Oops", {"init/main.c": "int"})
        with pytest.raises(BuildError), give():
            pass
        linux.commit("Fixed", {"init/main.c": MAIN})
        with give() as kernel:
            assert kernel.signature

    def test_of_the_host_is_not_remembered(self, linux, give):
        linux.commit(
            "Big",
            {"scripts/slowly.sh": "echo 'gcc: fatal error: Killed signal terminated program cc1'; exit 1\n"},
        )
        for _ in range(2):
            with pytest.raises(HostError, match="found no memory"), give():
                pass
            assert give.said


class TestHost:
    def test_too_little_disk(self, give, monkeypatch):
        monkeypatch.setattr(host_limits, "DISK_FOR_BUILD", 1 << 60)
        with pytest.raises(HostError, match=r"too little disk .* needs \d+ MiB, \d+ MiB free"), give():
            pass

    def test_too_little_memory(self, give, monkeypatch):
        monkeypatch.setattr(host_limits, "memory_available", lambda: 100 << 20)
        with pytest.raises(HostError, match=r"too little memory .* needs 600 MiB, 100 MiB free"), give():
            pass

    def test_fewer_jobs_where_memory_is_short(self, monkeypatch):
        monkeypatch.setattr(host_limits, "memory_available", lambda: (600 + 2 * 150) << 20)
        assert host_limits.jobs_that_fit(16) == 3

    def test_another_compiler_is_another_kernel(self, monkeypatch, linux, cache):
        tools = toolchain.find()
        request = config.request()
        key = provide.key_of("tree", request, tools, RULES)
        assert key == provide.key_of("tree", config.request(), toolchain.find(), RULES)
        assert key != provide.key_of("other", request, tools, RULES)

    def test_a_partial_or_pruned_tree(self, linux, give, cache):
        sha = linux.commit("Lost", {"lost.c": "int lost;\n"})
        blob = linux.git("rev-parse", f"{sha}:lost.c")
        (linux.path / ".git/objects" / blob[:2] / blob[2:]).unlink()
        with pytest.raises((HostError, UsageError), match="lacks files of this commit"), give():
            pass


def child(path, cache, commit, begun, done):
    tree = LinuxTree(path, cache)
    begun.set()
    with provide.provide(tree, commit, config.request(), jobs=1, rules=RULES) as kernel:
        done.put((commit, kernel.cached, kernel.signature))


class TestProcesses:
    @pytest.fixture
    def start(self, linux, cache, processes):
        done = processes.Queue()
        started = []

        def start(commit):
            begun = processes.Event()
            process = processes.Process(target=child, args=(linux.path, cache, commit, begun, done))
            process.start()
            started.append(process)
            assert begun.wait(30)
            return process

        start.done = done
        yield start
        for process in started:
            process.kill()
            process.join()

    def test_asking_for_one_kernel_build_it_once(self, linux, start):
        linux.commit("Slow", {"scripts/slowly.sh": "sleep 3\n"})
        processes = [start(linux.git("rev-parse", "HEAD")) for _ in range(4)]
        for process in processes:
            process.join()
        assert sorted(start.done.get()[1] for _ in processes) == [False, True, True, True]
        assert linux.builds == 1

    def test_asking_for_different_kernels_build_side_by_side(self, linux, cache, start):
        first = linux.commit("Slow", {"scripts/slowly.sh": "sleep 3\n"})
        second = linux.commit("Other", {"init/main.c": MAIN.replace("42", "43")})
        for process in (start(first), start(second)):
            process.join()
        signatures = {start.done.get()[2] for _ in range(2)}
        assert len(signatures) == 2
        assert len(list((cache / "trees").glob("*/[0-9]/tree"))) == 2

    def test_killed_at_any_moment_leaves_nothing_running_or_half_written(self, linux, cache, start, give):
        commit = linux.commit("Slow", {"scripts/slowly.sh": "sleep 0.2\n"})
        for moment in (0.02, 0.05, 0.1, 0.15, 0.3, 0.45, 0.6):
            process = start(commit)
            time.sleep(moment)
            process.kill()
            process.join()
        deadline = time.monotonic() + 5
        while working_in(cache) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not working_in(cache)
        with give(commit) as kernel:
            assert kernel.vmlinux.read_bytes()[:4] == b"\x7fELF"
        assert list((cache / "kernels/incoming").iterdir()) == []

    def test_interrupted_make_is_stopped_in_order(self, linux, cache, give):
        linux.commit("Slow", {"scripts/slowly.sh": "sleep 30\n"})
        main = threading.main_thread().ident
        timer = threading.Timer(1.5, lambda: signal.pthread_kill(main, signal.SIGINT))
        timer.start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt), give():
            pass
        assert time.monotonic() - began < 25
        assert not working_in(cache)
        assert not list(cache.glob("trees/*/*/tree/.obj-*/.kbisect-building"))
        assert not list(cache.glob("trees/*/*/tree/.obj-*/vmlinux"))


def working_in(folder):
    """Processes other than this one whose working directory is in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if process.joinpath("cwd").resolve().is_relative_to(folder) and int(process.name) != os.getpid():
                found.append(process.name)
    return found
