"""What goes wrong around a build: a full disk, a clock set back, two at once, trees that vanished."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from pytest_kbisect.errors import HostError
from pytest_kbisect.kernel import config, host_limits, provide, sources, worktrees
from pytest_kbisect.kernel.output import Output
from pytest_kbisect.kernel.rules import BuildRules
from pytest_kbisect.kernel.tree import LinuxTree

RULES = BuildRules(store_limit=10 << 30)
MAIN = "int answer = 42;\nvoid start(void)\n{\n\tfor (;;)\n\t\tanswer++;\n}\n"
AN_HOUR = 3600.0


@pytest.fixture
def give(linux, cache):
    def give(commit="HEAD"):
        give.said = []
        tree = LinuxTree(linux.path, cache)
        request = config.request()
        return provide.provide(
            tree, tree.resolve(commit), request, jobs=2, rules=RULES, progress=give.said.append
        )

    return give


class TestFullDisk:
    @pytest.fixture
    def leave(self, cache):
        """Give the cache a file system of its own that has so many KiB left; None: enough."""
        cache.mkdir()

        def mount(*options):
            command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "none", cache]
            return subprocess.run(command, capture_output=True, check=False).returncode == 0

        def leave(room):
            facts = os.statvfs(cache)
            used = (facts.f_blocks - facts.f_bfree) * facts.f_frsize >> 10
            assert mount("remount", f"size={65536 if room is None else used + room}k")

        if not mount("size=65536k"):
            pytest.skip("only root may mount a file system here")
        yield leave
        subprocess.run(["umount", "-l", cache], check=True)

    @pytest.mark.parametrize("room", [0, 8, 40])
    def test_at_any_moment_is_said_and_leaves_nothing_half_written(
        self, room, linux, give, leave, monkeypatch
    ):
        monkeypatch.setattr(host_limits, "require_disk", lambda *_: None)
        with give() as kernel:
            pass
        linux.commit("Code", {"init/main.c": MAIN.replace("42", "43"), "init/more.c": "x" * 20_000})
        leave(room)
        for _ in range(2):
            with (
                pytest.raises(HostError, match=r"disk of the cache folder is full|No space left") as caught,
                give(),
            ):
                pass
            assert "\n" not in str(caught.value)
        leave(None)
        with give() as changed:
            assert changed.signature != kernel.signature


class TestListOfWhatWasRead:
    """Which directories make enters rests on it: an O= folder is whole only once its list is."""

    @pytest.fixture
    def state(self, cache):
        def state():
            (folder,) = cache.glob("trees/*/0/tree/.obj-*")
            output = Output(folder)
            output.open()
            return output.state

        return state

    def test_killed_before_it_is_there(self, linux, cache, give, state, processes):
        with give():
            pass
        assert state()["whole"] == linux.base
        commit = linux.commit("Code", {"init/main.c": MAIN.replace("42", "43")})
        child = processes.Process(target=killed_while_collecting, args=(linux.path, cache, commit))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        assert "whole" not in state()
        with give() as kernel:
            assert not kernel.cached
        assert state()["whole"] == commit

    def test_no_room_for_it_loses_nothing_else(self, linux, give, state, monkeypatch):
        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(sources, "write", full)
            with pytest.raises(HostError, match="No space left"), give():
                pass
        assert "whole" not in state()
        with give():
            assert linux.builds == 1
        assert state()["whole"] == linux.base


def killed_while_collecting(path, cache, commit):
    sources.collect = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    with provide.provide(LinuxTree(path, cache), commit, config.request(), jobs=1, rules=RULES):
        pass


class TestClock:
    """Set back: what is checked out from now on looks older than what was compiled before."""

    @pytest.fixture
    def later(self, linux, cache, give):
        """All that lies in the cache is of an hour later than it is."""
        with give() as kernel:
            signature = kernel.signature
        now = time.time()
        for path in cache.glob("trees/**/*"):
            os.utime(path, (now + AN_HOUR, now + AN_HOUR), follow_symlinks=False)
        return signature

    def test_code_that_changed_is_built(self, linux, cache, give, later):
        linux.commit("Code", {"init/main.c": MAIN.replace("42", "43")})
        with give() as kernel:
            assert kernel.signature != later
        assert [word for word in give.said if "the clock was set back" in word]

    def test_nothing_stays_in_the_future(self, linux, cache, give, later):
        linux.commit("Code", {"init/main.c": MAIN.replace("42", "43")})
        with give():
            pass
        late = time.time() + AN_HOUR / 2
        assert not [path for path in cache.glob("trees/*/*/tree/**/*") if path.lstat().st_mtime > late]
        linux.commit("More code", {"init/main.c": MAIN.replace("42", "44")})
        with give():
            assert not [word for word in give.said if "clock" in word]

    def test_during_a_build_spoils_the_next_one_only(self, tmp_path, monkeypatch):
        output = Output(tmp_path / ".obj-1")
        assert not output.open()
        output.begin()
        (output.path / "main.o").write_text("compiled before")
        clock = time.time
        monkeypatch.setattr(time, "time", lambda: clock() - AN_HOUR)
        output.end()
        monkeypatch.undo()
        assert (output.path / "main.o").exists()
        again = Output(tmp_path / ".obj-1")
        assert again.open()
        assert not (output.path / "main.o").exists()
        assert not Output(tmp_path / ".obj-1").open()


class TestVanishedTrees:
    @pytest.fixture
    def slot_of(self, cache):
        def slot_of(linux):
            tree = LinuxTree(linux, cache)
            return worktrees.slot(tree, tree.resolve("HEAD"), ".obj-1")

        return slot_of

    def test_are_swept(self, linux, tmp_path, cache, slot_of):
        linux.git("clone", "-q", ".", str(tmp_path / "gone"))
        with slot_of(tmp_path / "gone"), slot_of(linux.path):
            pass
        (cache / "trees/killed.vanished").mkdir()
        assert len(list((cache / "trees").iterdir())) == 3
        shutil.rmtree(tmp_path / "gone")
        with slot_of(linux.path) as slot:
            assert list((cache / "trees").iterdir()) == [slot.tree.parent.parent]

    def test_are_left_while_somebody_builds_there(self, linux, tmp_path, cache, slot_of):
        linux.git("clone", "-q", ".", str(tmp_path / "gone"))
        with slot_of(tmp_path / "gone") as used:
            shutil.rmtree(tmp_path / "gone")
            with slot_of(linux.path):
                assert (used.tree / "Makefile").exists()


def test_half_a_list_of_what_was_read_is_none(linux, cache, give):
    with give() as kernel:
        facts = json.loads((kernel.sources.parent / "kernel.json").read_text())
    assert set(facts["sizes"]) >= {"sources", "vmlinux"}
    kernel.sources.write_text("architecture\tx86\n1\tinit/ma")
    linux.commit("Words", {"Documentation/a.rst": "a"})
    with give() as built:
        assert not built.same_as
