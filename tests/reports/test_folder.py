"""The folder of a bisection: what is in it, what repeats it, and what happens where it cannot be written."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from folders import CRASH, Folder, culprit, sha

from pytest_kbisect import host
from pytest_kbisect.commands import main
from pytest_kbisect.errors import ExitCode, UsageError
from pytest_kbisect.evidence.outcome import UNREPORTED
from pytest_kbisect.guest.qemu import Machine
from pytest_kbisect.guest.user_space import UserSpace
from pytest_kbisect.needs import Needs
from pytest_kbisect.reports import consoles, folder, repeat
from pytest_kbisect.reports.reading import read
from pytest_kbisect.reports.result import SCHEMA
from pytest_kbisect.reproducer_kinds import GuestProgram

needs_busybox = pytest.mark.skipif(shutil.which("busybox") is None, reason="no busybox on this host")


def made(path: Path, *, reproducer: str = "crash.sh", fix: bool = False) -> Path:
    """A finished bisection of 20 commits, its kernel in the store `path`/cache."""
    source = path / reproducer
    source.write_text("# kbisect-timeout: 7\n# kbisect-memory: 768\necho b >/proc/sysrq-trigger\n")
    results = Folder(path / "results", commits=20, fix=fix)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    results.lines[0]["reproducers"] = {str(source): digest}
    results.test(sha(20), "ooo" if fix else "ccc", position=19)
    results.test(sha(0), "ccc" if fix else "ooo", position=-1)
    results.test(sha(7), "ooo" if fix else "ccc", position=6, console=b"a console\n")
    results.test(sha(6), "ccc" if fix else "ooo", position=5)
    results.write(**culprit(7, command=["pytest", "--kbisect-range", "a..b", "x y.py"]))
    for name, commit in (("one", sha(0) if fix else sha(7)), ("other", sha(1))):
        kernel = path / "cache" / "kernels" / name
        kernel.mkdir(parents=True)
        (kernel / "bzImage").write_bytes(name.encode())
        (kernel / "config").write_text(f"CONFIG_{name.upper()}=y\n")
        sizes = {file: (kernel / file).stat().st_size for file in ("bzImage", "config")}
        (kernel / "kernel.json").write_text(json.dumps({"signature": commit + 24 * "0", "sizes": sizes}))
        (path / "cache" / "kernels" / "locks").mkdir(exist_ok=True)
    return path / "results"


@needs_busybox
def test_every_report_is_written_and_junit_elsewhere_too(tmp_path: Path) -> None:
    results = made(tmp_path)
    assert not folder.write(results, tmp_path / "cache", also=tmp_path / "elsewhere.xml")
    for name in ("report.html", "report.eml", "git-bisect.log", "junit.xml", "repeat.sh"):
        assert (results / name).stat().st_size, name
    assert (tmp_path / "elsewhere.xml").read_bytes() == (results / "junit.xml").read_bytes()
    assert (results / "config").read_text() == "CONFIG_ONE=y\n"
    assert (results / "repeat" / "bzImage").read_bytes() == b"one"
    assert (results / "repro" / "crash.sh").read_bytes() == (tmp_path / "crash.sh").read_bytes()
    script = (results / "repeat.sh").read_text()
    assert "-m 768" in script
    assert "sysctl.kernel.hung_task_timeout_secs" in script
    archive = (results / "repeat" / "initramfs.cpio").read_bytes()
    assert b"timeout -s KILL 7 sh /repro/crash.sh/crash.sh" in archive
    assert b"mount -t proc" in archive
    assert b"dropbear" not in archive.partition(b"#!/bin/sh")[2]
    assert not list(results.rglob("*.tmp"))
    assert "CONFIG_ONE=y" in (results / "report.html").read_text()


def test_reproducers_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    results = made(tmp_path)
    lines = (results / "journal.jsonl").read_text().splitlines(keepends=True)
    subject = json.loads(lines[0])
    for folder_name in ("a", "b"):
        (tmp_path / folder_name).mkdir()
        other = tmp_path / folder_name / "crash.sh"
        other.write_text(f"# {folder_name}\ntrue\n")
        subject["reproducers"][str(other)] = hashlib.sha256(other.read_bytes()).hexdigest()[:16]
    (results / "journal.jsonl").write_text(json.dumps(subject) + "\n" + "".join(lines[1:]))
    (tmp_path / "crash.sh").write_text("# changed since\n")
    folder.write(results, tmp_path / "cache")
    folder.write(results, tmp_path / "cache")
    kept = {path.name: path.read_text() for path in (results / "repro").iterdir()}
    assert kept == {"crash-2.sh": "# a\ntrue\n", "crash-3.sh": "# b\ntrue\n"}


@needs_busybox
def test_what_a_reproducer_includes_is_kept_with_it(tmp_path: Path) -> None:
    results = made(tmp_path, reproducer="crash.c")
    source, header = tmp_path / "crash.c", tmp_path / "lib" / "common.h"
    source.write_text('#include "lib/common.h"\nint main(void) { return STATUS; }\n')
    header.parent.mkdir()
    header.write_text("#define STATUS 3\n")
    lines = (results / "journal.jsonl").read_text().splitlines(keepends=True)
    digests = {str(path): hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in (source, header)}
    subject = json.loads(lines[0])
    subject["reproducers"], subject["included"] = (
        {str(path): digests[str(path)]} for path in (source, header)
    )
    (results / "journal.jsonl").write_text(json.dumps(subject) + "\n" + "".join(lines[1:]))
    assert folder.write(results, tmp_path / "cache") == []
    assert (results / "repro" / "lib" / "common.h").read_text() == header.read_text()
    assert (results / "repeat.sh").exists()


def test_no_copy_of_a_header_leaves_its_folder(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    results = made(tmp_path / "deep", reproducer="crash.c")
    (tmp_path / "common.h").write_text("#define STATUS 3\n")
    digest = hashlib.sha256((tmp_path / "common.h").read_bytes()).hexdigest()[:16]
    lines = (results / "journal.jsonl").read_text().splitlines(keepends=True)
    subject = {**json.loads(lines[0]), "included": {f"{tmp_path}/deep/../common.h": digest}}
    (results / "journal.jsonl").write_text(json.dumps(subject) + "\n" + "".join(lines[1:]))
    folder.write(results, tmp_path / "cache")
    assert (results / "repro" / "common.h").is_file()
    assert not (results / "common.h").exists()


@needs_busybox
def test_written_again_it_is_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = made(tmp_path)
    folder.write(results, tmp_path / "cache")
    names = ("report.html", "git-bisect.log", "junit.xml", "repeat.sh", "repeat/initramfs.cpio", "config")
    before = [(results / name).read_bytes() for name in names]
    shutil.move(results, tmp_path / "moved")
    shutil.rmtree(tmp_path / "cache" / "kernels" / "one")  # evicted meanwhile
    (tmp_path / "crash.sh").write_text("# something else\n")
    words = ["report", str(tmp_path / "moved"), f"--cache={tmp_path / 'cache'}"]
    assert main(words) == ExitCode.FOUND
    assert "moved" in capsys.readouterr().out
    assert [(tmp_path / "moved" / name).read_bytes() for name in names] == before


@needs_busybox
def test_of_a_repair_the_kernel_that_crashes_is_repeated(tmp_path: Path) -> None:
    results = made(tmp_path, fix=True)
    folder.write(results, tmp_path / "cache")
    assert (results / "repeat" / "bzImage").read_bytes() == b"one"
    assert sha(0)[:12] in (results / "repeat.sh").read_text()


def test_a_python_reproducer_is_repeated_by_pytest(tmp_path: Path) -> None:
    results = made(tmp_path, reproducer="test_crash.py")
    assert not folder.write(results, tmp_path / "cache")
    last = (results / "repeat.sh").read_text().splitlines()[-1]
    expected = "--kbisect-range a..b 'x y.py' --kbisect-range= --kbisect-commit="
    assert last == f"exec pytest {expected}{sha(7)} --kbisect-runs=1"


@needs_busybox
def test_the_script_names_only_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some distributions keep busybox in a folder of root's, which is not in everybody's PATH."""
    tools, which = tmp_path / "usr" / "sbin", shutil.which
    tools.mkdir(parents=True)
    shutil.copy(str(which("busybox")), tools)
    search = f"/usr/bin:{tools}"
    monkeypatch.setattr(host, "_SEARCH", search)
    monkeypatch.setattr(
        shutil,
        "which",
        lambda name, path=None: which(
            name, path=path if name != "busybox" else str(tools) if path == search else ""
        ),
    )
    results = made(tmp_path)
    assert not folder.write(results, tmp_path / "cache")
    named = re.findall(r"repeat/\S+", (results / "repeat.sh").read_text())
    assert named
    assert [name for name in named if not (results / name).exists()] == []


@needs_busybox
@pytest.mark.parametrize("lost", ["busybox", "kernel"])
def test_without_what_it_boots_there_is_no_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    results = made(tmp_path)
    if lost == "kernel":
        shutil.rmtree(tmp_path / "cache")
    else:
        monkeypatch.setattr(host, "_SEARCH", "/nowhere")
        real = shutil.which
        monkeypatch.setattr(
            shutil, "which", lambda name, **more: None if name == "busybox" else real(name, **more)
        )
    (trouble,) = folder.write(results, tmp_path / "cache")
    assert (
        trouble
        == {
            "busybox": "repeat.sh was not written: busybox is not installed, and guests need it: run `kbisect setup`",
            "kernel": "repeat.sh was not written: the kernel that crashed is no longer in the cache: the same bisection "
            "builds it again",
        }[lost]
    )
    assert not (results / "repeat.sh").exists()


def test_a_title_is_only_a_comment_in_the_script(tmp_path: Path) -> None:
    results = made(tmp_path)
    told = json.loads((results / "result.json").read_text())
    (results / "result.json").write_text(
        json.dumps({**told, "crash": f"x\ntouch {tmp_path}/owned\n$(touch y)"})
    )
    script = repeat.script(read(results), ())
    assert "\ntouch" not in script
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pytest").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "pytest").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", script], check=True, env=environment, cwd=tmp_path)
    assert not (tmp_path / "owned").exists()


def test_a_guest_by_hand_has_what_guests_had(tmp_path: Path) -> None:
    results = made(tmp_path)
    told = json.loads((results / "result.json").read_text())
    program = tmp_path / "x.sh"
    program.write_text("true\n")

    def booted(needs: Needs, **guest: float) -> tuple[str, bytes]:
        (results / "result.json").write_text(json.dumps({**told, "guest": guest}))
        programs = [repeat.Program("x.sh", GuestProgram({"x.sh": program}, ("sh", "x.sh")), needs)]
        return repeat.script(read(results), programs), repeat.initramfs(programs, UserSpace(program), 45.0)

    script, archive = booted(Needs(), memory=2048, cpus=4, timeout=45.0)
    machine = Machine(kernel=program, initramfs=program).command(Path("console"), 3)
    assert f" -machine {machine[machine.index('-machine') + 1]} " in script
    assert "-m 2048 -smp 4" in script
    assert b"timeout -s KILL 45 sh /repro/x.sh/x.sh" in archive
    script, archive = booted(Needs(memory=1024, timeout=7), memory=2048, cpus=4, timeout=45.0)
    assert "-m 1024 -smp 4" in script
    assert b"timeout -s KILL 7 sh /repro/x.sh/x.sh" in archive
    assert "-m 512 -smp 2" in booted(Needs())[0]


def test_what_cannot_be_written_is_said_and_the_rest_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = made(tmp_path)
    real = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name.startswith("report.html"):
            real(path, data[:100])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    assert folder.write(results, tmp_path / "cache") == [
        "report.html was not written: No space left on device"
    ]
    assert not (results / "report.html").exists()
    assert not list(results.glob("*.tmp"))
    assert (results / "report.eml").exists()


def test_a_fault_of_ours_costs_one_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> str:
        raise AttributeError("no such thing\nat all")

    results = made(tmp_path)
    monkeypatch.setitem(folder._REPORTS, "report.eml", broken)
    (trouble,) = folder.write(results, tmp_path / "cache")
    assert trouble.startswith(
        "report.eml was not written: AttributeError: no such thing (in test_folder.py, line "
    )
    for name in ("git-bisect.log", "junit.xml", "repeat.sh"):
        assert (results / name).stat().st_size, name


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = made(tmp_path)
    results.chmod(0o555)
    assert main(["report", str(results), f"--cache={tmp_path / 'cache'}"]) == ExitCode.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert "report.html was not written: Permission denied" in line


def test_a_source_that_does_not_compile_costs_only_repeat_sh(tmp_path: Path) -> None:
    results = made(tmp_path, reproducer="broken.c")
    (trouble,) = folder.write(results, tmp_path / "cache")
    assert trouble.startswith("repeat.sh was not written: ")
    assert "does not compile" in trouble


def test_no_folder_of_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        (tmp_path / "file").write_text("")
        assert main(["report", str(path)]) == ExitCode.USAGE
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"kbisect: {path} is not a folder of results")


def test_broken_files_are_named(tmp_path: Path) -> None:
    results = made(tmp_path)
    (results / "result.json").write_text("{")
    with pytest.raises(UsageError, match=r"result\.json cannot be read"):
        read(results)
    (results / "result.json").unlink()
    with (results / "journal.jsonl").open("ab") as file:
        file.write(b'{"kind": "tested", "te')  # a power cut
    assert len(read(results).steps) == 4
    (results / "journal.jsonl").write_bytes(b"[1]\n\xff\n")
    with pytest.raises(UsageError, match=r"journal\.jsonl:1 is not a journal line"):
        read(results)


def test_a_result_of_another_version_is_refused(tmp_path: Path) -> None:
    results = made(tmp_path)
    known = json.loads((results / "result.json").read_text())
    (results / "result.json").write_text(json.dumps({**known, "schema": SCHEMA}))
    assert read(results).result.kind == "culprit"
    (results / "result.json").write_text(json.dumps({**known, "schema": SCHEMA + 1}))
    with pytest.raises(
        UsageError, match=rf"result\.json has schema {SCHEMA + 1}, this version reads {SCHEMA}: use"
    ):
        read(results)


def test_a_console_of_200_mebibytes(tmp_path: Path) -> None:
    results = made(tmp_path)
    (console,) = {path for run in read(results).revisions[2].runs[:1] for path in run.consoles}
    with console.open("wb") as file:
        file.write(b"the beginning\n")
        file.seek(200 << 20)
        file.write(b"\nWARNING: the end\n")
    assert not folder.write(results, tmp_path / "cache")
    assert console.stat().st_size <= consoles.KEPT
    data = console.read_bytes()
    assert not folder.write(results, tmp_path / "cache")
    assert console.read_bytes() == data
    assert data.startswith(b"the beginning\n")
    assert data.endswith(b"\nWARNING: the end\n")
    assert b"bytes left out ---" in data
    assert (results / "report.html").stat().st_size < 1 << 20
    assert "WARNING: the end" in (results / "report.html").read_text()


@pytest.mark.parametrize("told", ["by name", "not at all"])
def test_a_console_is_its_runs_where_a_worker_died(tmp_path: Path, told: str) -> None:
    results = made(tmp_path)
    session = consoles.session_folder(results, sha(7), 1)
    suite = ET.parse(session / "junit.xml").getroot()[0]
    if told == "by name":
        del suite[0][:]
        ET.SubElement(suite[0], "error", message="worker 'gw0' crashed")
    else:
        del suite[0]
        records = [json.loads(line) for line in (results / "journal.jsonl").read_text().splitlines()]
        records[3]["tested"]["runs"][0] = {"outcome": "infra-failed", "title": UNREPORTED}
        (results / "journal.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    ET.ElementTree(suite).write(session / "junit.xml")
    runs = read(results).revisions[2].runs
    names = [[path.parent.name for path in run.consoles] for run in runs]
    assert names == [[], ["x-run1"], ["x-run2"]]


def test_a_session_that_was_free_to_stop_has_gaps(tmp_path: Path) -> None:
    """Run 1 was never begun, and run 2, begun beside run 0, is the second that is told of."""
    results = made(tmp_path)
    session = consoles.session_folder(results, sha(7), 1)
    suite = ET.parse(session / "junit.xml").getroot()[0]
    del suite[1]
    ET.ElementTree(suite).write(session / "junit.xml")
    found = consoles.of_session(session, ["", CRASH])
    assert {index: paths[0].parent.name for index, paths in found.items()} == {0: "x-run0", 1: "x-run2"}


def test_the_story_of_a_folder(tmp_path: Path) -> None:
    found = read(made(tmp_path))
    assert [revision.state for revision in found.revisions] == ["crashes", "works", "crashes", "works"]
    assert found.culprit is not None
    assert found.culprit.position == 6
    assert found.crashing is found.culprit
    assert found.crash.startswith("WARNING: CPU: 0 PID: 50")
    assert found.culprit.runs[2].title == CRASH
    assert found.seconds_by == {"build": 48.0, "test": 80.0}
