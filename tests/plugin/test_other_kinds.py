"""A kind of reproducer that another plugin adds: the one of the documentation."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pages
import pytest
from whole import Place

from pytest_kbisect import ExitCode, GuestProgram, HostError, UsageError, plugins, reproducer_kinds
from pytest_kbisect.commands import main
from pytest_kbisect.syzkaller.syz_kind import SyzPrograms

if TYPE_CHECKING:
    from pathlib import Path

builds_kernels = pytest.mark.skipif(
    not all(map(shutil.which, ("qemu-system-x86_64", "gcc", "perl", "busybox"))),
    reason="this host builds no kernels",
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    (tmp_path / "awk_reproducers.py").write_text(pages.plugin("awk_reproducers.py"))
    (tmp_path / "crash.awk").write_text("# kbisect-runs: 4\n# library: lib.awk\nBEGIN { show() }\n")
    (tmp_path / "lib.awk").write_text('function show() { print "shown" }\n')
    return place


@pytest.mark.bisection
@builds_kernels
def test_a_bisection_with_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Collected, prepared, run, copied and repeated, by a plugin that knows nothing of these."""
    place.change("before")
    culprit = place.play("The culprit", "crash")
    place.change("after")
    done = place.bisect("-p", "awk_reproducers", "crash.awk::crash", PYTHONPATH=str(place.path))
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert place.result()["culprit"] == culprit
    results = place.path / "result"
    assert sorted(path.name for path in (results / "repro").iterdir()) == ["crash.awk", "lib.awk"]
    command = b"awk -f /repro/crash.awk/lib.awk -f /repro/crash.awk/crash.awk"
    initramfs = results / "repeat" / "initramfs.cpio"
    assert command in initramfs.read_bytes()
    initramfs.unlink()
    monkeypatch.syspath_prepend(place.path)
    monkeypatch.setenv("PYTEST_PLUGINS", "awk_reproducers")
    assert main(["report", str(results), f"--cache={place.path / 'cache'}"]) == ExitCode.FOUND
    assert command in initramfs.read_bytes()


@pytest.mark.bisection
@builds_kernels
def test_what_belongs_to_it_makes_another_bisection(place: Place) -> None:
    place.play("The culprit", "crash")
    words = "-p", "awk_reproducers", "crash.awk::crash"
    assert place.bisect(*words, PYTHONPATH=str(place.path)).code == ExitCode.FOUND
    (place.path / "lib.awk").write_text("function show() { }\n")
    done = place.bisect(*words, PYTHONPATH=str(place.path))
    assert done.code == ExitCode.USAGE
    assert "included" in done.err


@builds_kernels
def test_a_run_executes_its_command(place: Place) -> None:
    words = "-p", "awk_reproducers", "-rA", "--kbisect-runs=1", "crash.awk"
    done = place.pytest(*words, PYTHONPATH=str(place.path))
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert "played: awk -f /tmp/lib.awk -f /tmp/crash.awk" in done.out


def test_the_kind_of_a_plugin_comes_before_built_in_ones(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        kbisect_own="""
        class Own:
            name, suffixes, requires = "own", (".sh",), ("no-such-program",)
            def prepare(self, source, cache): ...
            def related_files(self, source): return ()
        def pytest_kbisect_reproducer_kinds():
            return [Own()]
        """
    )
    pytester.path.joinpath("crash.sh").write_text("true\n")
    kinds = reproducer_kinds.registered(plugins.load())
    assert kinds == (*reproducer_kinds.BUILT_IN, SyzPrograms())
    pytester.syspathinsert()
    manager = plugins.load()
    manager.import_plugin("kbisect_own")
    first = reproducer_kinds.kind_of(pytester.path / "crash.sh", reproducer_kinds.registered(manager))
    assert first is not None
    assert first.name == "own"
    with pytest.raises(HostError, match=r"crash.sh needs no-such-program on this host: install it"):
        reproducer_kinds.prepare(pytester.path / "crash.sh", first, pytester.path)


def test_an_entry_that_is_no_kind_is_named(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        class Half:
            name, suffixes, requires = "half", (".lua",), ()
            def __repr__(self): return "Half"
        def pytest_kbisect_reproducer_kinds():
            return [Half()]
        """
    )
    pytester.path.joinpath("crash.lua").write_text("-- kbisect-runs: 1\n")
    result = pytester.runpytest("--kbisect-runs=1", "crash.lua")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = "the hook pytest_kbisect_reproducer_kinds returned Half, which is not of type ReproducerKind"
    assert f"ERROR: {said} (it lacks prepare, related_files): fix or remove that plugin" in result.errlines


def test_a_plugin_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_PLUGINS", "kbisect_absent")
    with pytest.raises(UsageError, match=r"cannot import the plugin kbisect_absent \(ModuleNotFoundError"):
        plugins.load()


def test_words_that_name_files_become_paths(tmp_path: Path) -> None:
    script, interpreter = tmp_path / "x.lua", tmp_path / "lua"
    script.write_text("")
    interpreter.write_text("")
    interpreter.chmod(0o755)
    program = GuestProgram({"lua": interpreter, "x.lua": script}, ("lua", "-W", "x.lua"))
    assert program.words("/tmp") == ["/tmp/lua", "-W", "/tmp/x.lua"]
    assert program.modes() == {"lua": 0o755, "x.lua": 0o644}
