"""syz programs as reproducers: headers, command lines, what a kernel must have, and what a run says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import syzkaller_pair
from whole import Place

from pytest_kbisect import CommandResult, ExitCode, HostError, UsageError
from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.commands import main
from pytest_kbisect.syzkaller import (
    prog2c,
    syz_binaries,
    syz_build,
    syz_command,
    syz_features,
    syz_header,
    syz_program,
    syz_result,
)
from pytest_kbisect.syzkaller.syz_kind import SyzPrograms

JSON = (
    '#{"threaded":true,"repeat":true,"procs":5,"slowdown":1,"sandbox":"none","sandbox_arg":0,"tun":true,'
    '"netdev":true,"close_fds":true,"tmpdir":true,"segv":true}\n'
)
STRUCT = (
    "#{Threaded:true Collide:true Repeat:true Procs:8 Sandbox: Fault:true FaultCall:1 FaultNth:4 EnableTun:true"
    " UseTmpDir:true HandleSegv:true WaitRepeat:true Debug:false Repro:false}\n"
)
SEE = "# See https://goo.gl/kgGztJ for information about syzkaller reproducers.\n"
CALLS = """\
r0 = socket$inet(0x2, 0x2, 0x0)
sendto$inet(r0, &(0x7f0000000000)="00", 0x1, 0x0, 0x0, 0x0)
close(r0)
getpid()
"""
OLD = syz_command.Usage(
    {"fault_call": "", "fault_nth": "", "collide": "collide calls", "cover": ""}, frozenset()
)
NEW = syz_command.Usage(
    {"collide": "(DEPRECATED) ...", "enable": "", "slowdown": ""}, frozenset({"tun", "close_fds"})
)

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="no compiler")


# -- headers ---------------------------------------------------------------------------------------------


def options(text: str) -> syz_header.SyzOptions:
    found = syz_header.options_of(text, "x.syz")
    assert found is not None
    return found


def test_options_in_json() -> None:
    found = options(SEE + JSON + CALLS)
    assert (found.procs, found.sandbox, found.repeat, found.tun, found.netdev) == (
        5,
        "none",
        True,
        True,
        True,
    )
    assert not found.collide
    bare = options('#{"procs":1,"sandbox":""}\n' + CALLS)
    assert (bare.close_fds, bare.slowdown, bare.repeat) == (True, 1, False)  # what syzkaller takes for them


def test_options_as_go_prints_them() -> None:
    found = options(STRUCT + CALLS)
    assert (found.procs, found.sandbox, found.collide, found.tun, found.tmpdir) == (8, "", True, True, True)
    assert (found.injects_fault, found.fault_call, found.fault_nth) == (True, 1, 4)
    assert not options(STRUCT.replace("FaultCall:1", "FaultCall:-1") + CALLS).injects_fault


def test_a_program_without_options() -> None:
    assert syz_header.options_of(SEE + CALLS, "x.syz") is None
    assert syz_header.options_of(CALLS + JSON, "x.syz") is None  # a comment behind the calls is none


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        ('#{"procs":1,"sandbox":"none"', "x.syz:1: broken options"),
        ('#{"procs":"one"}', "x.syz:1: procs must be a number, not 'one'"),
        ('#{"procs":0}', "x.syz:1: procs must be 1 or more"),
        ('#{"sandbox":"jail"}', "the sandbox must be one of none, setuid, namespace, android"),
        ('#{"procs":1,"teleport":true}', "syzkaller's option 'teleport' is not known: remove it"),
        ("#{Threaded:true Procs:many}", "x.syz:1: Procs must be a number"),
        ("#{Threaded:true Teleport:true}", "x.syz:1: broken options"),
    ],
)
def test_a_header_that_cannot_be_used(header: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=re.escape(complaint)):
        syz_header.options_of(f"{header}\n{CALLS}", "x.syz")


def test_an_unknown_option_that_is_off_does_not_matter() -> None:
    assert options('#{"procs":1,"teleport":false,"callcomments":true,"repro":true}\n' + CALLS).procs == 1


@pytest.mark.parametrize("header", [JSON, STRUCT])
def test_options_are_turned_off_in_either_form(header: str) -> None:
    text = syz_header.without(SEE + header + CALLS, ["tun"])
    assert options(text).tun is False
    assert options(text).tmpdir is True
    assert text.endswith(CALLS)


# -- programs --------------------------------------------------------------------------------------------


def calls(text: str) -> tuple[syz_program.Call, ...]:
    return syz_program.calls_of(text, "x.syz")


def test_calls_with_properties_and_results() -> None:
    found = calls(JSON + "pipe(&(0x7f0000000000)={<r1=>0x0, <r2=>0x0})\nclose(r1) (async, fail_nth: 3)\n")
    assert [call.name for call in found] == ["pipe", "close"]
    assert found[0].results == ("r1", "r2")
    assert found[1].properties == ("async", "fail_nth: 3")
    assert found[1].fail_nth == 3


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("<!doctype html><html>", "x.syz is a web page, no syz program"),
        ("a\0b", "x.syz is a binary file"),
        ("# nothing\n", "x.syz has no calls"),
        ("int main(void)\n{\n", "x.syz:1 is no call of a syz program"),
    ],
)
def test_what_is_no_program(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=re.escape(complaint)):
        calls(text)


def test_a_fault_by_options_becomes_a_property_and_back() -> None:
    text = syz_program.with_fault(CALLS, calls(CALLS), call=1, nth=4, name="x.syz")
    assert text.splitlines()[1].endswith("0x0) (fail_nth: 5)")
    assert syz_program.without_fault(text, calls(text), "x.syz") == (CALLS, 1, 4)
    with pytest.raises(UsageError, match="fault_call 7 is behind the last of 4 calls"):
        syz_program.with_fault(CALLS, calls(CALLS), call=7, nth=0, name="x.syz")
    twice = CALLS.replace("close(r0)", "close(r0) (fail_nth: 1)").replace(
        "getpid()", "getpid() (fail_nth: 2)"
    )
    with pytest.raises(UsageError, match="injects faults into 2 calls, and this syz-execprog"):
        syz_program.without_fault(twice, calls(twice), "x.syz")


def test_colliding_calls_are_not_waited_for() -> None:
    lines = syz_program.collided(CALLS, "x.syz").splitlines()
    assert [line.endswith("(async)") for line in lines] == [False, True, False, False]
    # A resource that is used later is waited for, as syzkaller's own rule has it.
    text = "getpid()\nr0 = dup(0x0)\nclose(r0)\ngetuid()\ngetpid()\n"
    lines = syz_program.collided(text, "x.syz").splitlines()
    assert [line.endswith("(async)") for line in lines] == [False, False, False, True, False]


# -- the command line ------------------------------------------------------------------------------------


def words(header: str, usage: syz_command.Usage, text: str = CALLS) -> syz_command.ExecprogCommand:
    whole = header + text
    return syz_command.command(
        "x.syz", whole, calls(whole), syz_header.options_of(whole, "x.syz"), usage, "amd64"
    )


def test_the_options_become_the_command_line() -> None:
    made = words(JSON, NEW)
    assert made.words == (
        *(
            "syz-execprog",
            "-executor",
            "syz-executor",
            "-arch=amd64",
            "-sandbox=none",
            "-procs=5",
            "-repeat=0",
        ),
        *("-threaded=true", "-collide=false", "-enable=tun,close_fds", "x.syz"),
    )
    assert made.programs == {"x.syz": JSON + CALLS}
    assert "-repeat=1" in words('#{"procs":1,"sandbox":""}\n', NEW).words
    assert "-repeat=3" in words('#{"procs":1,"repeat":true,"repeat_times":3,"sandbox":""}\n', NEW).words
    assert "-sandbox=none" in words('#{"procs":1,"sandbox":""}\n', NEW).words


def test_without_a_header_the_kernel_decides_on_features() -> None:
    made = words("", NEW)
    assert "-repeat=0" in made.words
    assert not any(word.startswith("-enable") for word in made.words)


def test_old_options_are_flags_where_there_are_some_and_properties_elsewhere() -> None:
    old = words(STRUCT, OLD)
    assert {"-fault_call=1", "-fault_nth=4", "-collide=true", "-cover=0"} <= set(old.words)
    assert old.programs == {"x.syz": STRUCT + CALLS}
    new = words(STRUCT, NEW)
    assert not any("fault" in word for word in new.words)
    assert new.words[-2:] == ("x.syz", "collide-x.syz")
    assert "(fail_nth: 5)" in new.programs["x.syz"]
    assert "(fail_nth: 5)" in new.programs["collide-x.syz"]
    assert "getpid()\n" in new.programs["collide-x.syz"]
    collided = words(STRUCT.replace("Fault:true", "Fault:false"), NEW).programs["collide-x.syz"]
    assert "0x0) (async)\n" in collided
    assert "(async)" not in new.programs["x.syz"]


def test_a_property_becomes_a_flag_for_an_old_program() -> None:
    made = words(JSON, OLD, CALLS.replace("close(r0)", "close(r0) (fail_nth: 2)"))
    assert {"-fault_call=2", "-fault_nth=1"} <= set(made.words)
    assert "fail_nth" not in made.programs["x.syz"]
    assert "-fault_call=-1" in words(JSON, OLD).words


@needs_gcc
def test_flags_are_asked_of_the_program(tmp_path: Path) -> None:
    old = syz_binaries.usage(
        syzkaller_pair.build(tmp_path / "old", old=True) / "bin/linux_amd64/syz-execprog"
    )
    new = syz_binaries.usage(syzkaller_pair.build(tmp_path / "new") / "bin/linux_amd64/syz-execprog")
    assert (old.injects_by_flag, old.collides) == (True, True)
    assert (new.injects_by_flag, new.collides) == (False, False)
    assert "tun" in new.features
    mute = tmp_path / "syz-execprog"
    mute.write_text("#!/bin/sh\n")
    mute.chmod(0o755)
    with pytest.raises(HostError, match=r"cannot ask .*syz-execprog for its flags \(it prints nothing\)"):
        syz_binaries.usage(mute)


# -- what the kernel has, and what a run says ------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "text", "configuration", "lacking"),
    [
        (JSON, CALLS, "CONFIG_TUN=y\nCONFIG_VETH=y\n", ""),
        (JSON, CALLS, "CONFIG_VETH=y\n", "the kernel lacks CONFIG_TUN, which the option 'tun' needs"),
        (JSON, CALLS, "CONFIG_TUN=m\nCONFIG_VETH=y\n", "(CONFIG_TUN is a module, and syzkaller loads none)"),
        (JSON, CALLS, "CONFIG_TUN=y\n", "which the option 'netdev' needs"),
        ('#{"procs":1,"sandbox":"namespace"}\n', CALLS, "", "which the sandbox 'namespace' needs"),
        (STRUCT, CALLS, "CONFIG_TUN=y\n", "CONFIG_FAULT_INJECTION, which the injection of a fault needs"),
        ("", "syz_emit_vhci(0x0, 0x0)\n", "", "CONFIG_BT_HCIVHCI, which the call syz_emit_vhci needs"),
        ("", CALLS, "", ""),
    ],
)
def test_what_a_kernel_must_have(header: str, text: str, configuration: str, lacking: str) -> None:
    known = syz_header.options_of(header + text, "x.syz")
    found = syz_features.lacking(known, calls(text), configuration)
    assert lacking in found
    assert bool(found) == bool(lacking)


@pytest.mark.parametrize(
    ("output", "status", "reason"),
    [
        ("parsed 1 programs\nexecuted programs: 0\n", 0, ""),
        ("parsed 1 programs\nexecuted programs: 0\nexecuted programs: 91\n", None, ""),
        ("flag provided but not defined: -collide\nusage: execprog", 2, "does not know the flag -collide"),
        ("parsed 1 programs\nSYZFAIL: mmap failed (errno 12)\n", 0, "syz-executor failed: mmap failed"),
        (
            (
                "executed programs: 0\nresult: hanged=false err=executor 0: failed to start: fork/exec ./syz-executor:"
                " no such file or directory\n"
            ),
            None,
            "needs a C library that the guest does not have",
        ),
        (
            "executed programs: 0\nresult: hanged=false err=executor 0: exit status 67\n",
            None,
            "exit status 67",
        ),
        ("executed programs: 0\nresult: hanged=true err=<nil>\n", 0, ""),
        ("parsed 0 programs\n", 0, "knows none of the program's calls"),
        ("executor process exited: exit status 67\n", 1, "executor process exited: exit status 67"),
        ("panic: runtime error: index out of range\n", 2, "syz-execprog failed: runtime error"),
        (
            "parsed 1 programs\n",
            None,
            "did not begin to execute the program in 1 s: raise the time limit of a run",
        ),
        ("parsed 1 programs\n", 0, "did not begin to execute the program"),
        ("", 127, "ended with status 127"),
    ],
)
def test_a_run_that_did_not_execute_the_program_says_nothing(
    output: str, status: int | None, reason: str
) -> None:
    found = syz_result.untestable(CommandResult("x", status, "", output, 1.0))
    assert reason in found
    assert bool(found) == bool(reason)


# -- the user's syzkaller --------------------------------------------------------------------------------


@needs_gcc
def test_the_layouts_of_a_built_syzkaller(tmp_path: Path) -> None:
    whole = syzkaller_pair.build(tmp_path / "whole")
    found = syz_binaries.find(whole, DEFAULT)
    assert (found.arch, found.revision, found.needs_library) == ("amd64", syzkaller_pair.REVISION, False)
    assert syz_binaries.find(whole / "bin" / "linux_amd64", DEFAULT).executor == found.executor
    linked = syz_binaries.find(syzkaller_pair.build(tmp_path / "linked", static=False), DEFAULT)
    assert linked.needs_library
    with pytest.raises(UsageError, match="there is no such folder"):
        syz_binaries.find(tmp_path / "absent", DEFAULT)
    (whole / "bin" / "linux_amd64").rename(whole / "bin" / "linux_arm64")
    with pytest.raises(UsageError, match=r"for amd64 in .* \(it has linux_arm64\): run `make"):
        syz_binaries.find(whole, DEFAULT)


@needs_gcc
def test_an_executor_that_guests_cannot_run(tmp_path: Path) -> None:
    place = syzkaller_pair.build(tmp_path) / "bin" / "linux_amd64"
    executor = place / "syz-executor"
    data = bytearray(executor.read_bytes())
    data[18] = 183  # e_machine: EM_AARCH64
    executor.write_bytes(data)
    with pytest.raises(UsageError, match=r"syz-executor is for aarch64, guests are x86_64: build it with"):
        syz_binaries.find(tmp_path, DEFAULT)
    executor.chmod(0o644)
    with pytest.raises(UsageError, match=r"is not executable: run chmod \+x on it"):
        syz_binaries.find(tmp_path, DEFAULT)
    executor.write_bytes(b"MZ what")
    executor.chmod(0o755)
    with pytest.raises(UsageError, match="is no program for Linux: build it again"):
        syz_binaries.find(tmp_path, DEFAULT)


@needs_gcc
def test_a_linked_executor_needs_a_disk_image(tmp_path: Path) -> None:
    folder = syzkaller_pair.build(tmp_path / "syzkaller", static=False)
    source = tmp_path / "x.syz"
    source.write_text(JSON + CALLS)
    with pytest.raises(
        UsageError, match="needs a C library, which guests do not have: build it with -static"
    ):
        SyzPrograms(folder).prepare(source, tmp_path / "cache")
    assert SyzPrograms(folder, library=True).prepare(source, tmp_path / "cache").command


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    return subprocess.run(
        ["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository whose command builds the stand-in, and counts."""
    folder = tmp_path / "syzkaller"
    shutil.copytree(syzkaller_pair.SOURCES, folder)
    (folder / "build.sh").write_text(
        "set -e\necho built >>$1\nmkdir -p bin/linux_amd64\n"
        "gcc -w -static -o bin/linux_amd64/syz-execprog execprog.c\n"
        'gcc -w -static -DREVISION=\\"$(git rev-parse HEAD)\\" -o bin/linux_amd64/syz-executor executor.c\n'
    )
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "one")
    return folder


@needs_gcc
def test_the_users_command_builds_once_at_the_bugs_commit(repository: Path, tmp_path: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    (repository / "execprog.c").write_text("no C\n")
    git(repository, "commit", "-q", "-a", "-m", "broken")
    before = git(repository, "worktree", "list", "--porcelain")
    kind = SyzPrograms(repository, f"sh build.sh {tmp_path}/count", tmp_path / "cache")
    source = tmp_path / "x.syz"
    source.write_text(f"# kbisect-syzkaller-commit: {commit}\n{JSON}{CALLS}")
    for _ in range(2):
        program = kind.prepare(source, tmp_path / "programs")
    assert (tmp_path / "count").read_text() == "built\n"
    assert program.log == (f"building syzkaller on {commit}",)
    assert git(repository, "worktree", "list", "--porcelain") == before
    assert [tool.name for tool in kind.tools(source)] == ["syz-execprog", "syz-executor"]


@needs_gcc
@pytest.mark.parametrize(
    ("line", "command", "complaint"),
    [
        ("", "true", "does not say at which commit of syzkaller it was found"),
        ("# kbisect-syzkaller-commit: master\n", "true", "'master' is no commit: give 12 to 40"),
        (
            "# kbisect-syzkaller-commit: 0123456789ab\n",
            "true",
            "has no commit 0123456789ab: run git fetch there",
        ),
        (
            "# kbisect-syzkaller-commit: HEAD\n",
            "echo no; exit 3",
            r"failed at syzkaller's commit .* \(exit status 3\)",
        ),
        ("# kbisect-syzkaller-commit: HEAD\n", "true", "no syz-execprog and syz-executor for amd64 in"),
    ],
)
def test_what_keeps_the_command_from_building(
    repository: Path, tmp_path: Path, line: str, command: str, complaint: str
) -> None:
    source = tmp_path / "x.syz"
    source.write_text(line.replace("HEAD", git(repository, "rev-parse", "HEAD")) + JSON + CALLS)
    with pytest.raises(UsageError, match=complaint):
        SyzPrograms(repository, command, tmp_path / "cache").prepare(source, tmp_path / "programs")


def test_a_folder_that_is_no_repository_builds_nothing(tmp_path: Path) -> None:
    (tmp_path / "no").mkdir()
    with pytest.raises(UsageError, match="--kbisect-syzkaller-command needs syzkaller's git repository"):
        syz_build.built(tmp_path / "no", "0" * 40, "true", tmp_path, DEFAULT)


# -- C from a program ------------------------------------------------------------------------------------


@needs_gcc
def test_c_from_a_program_says_what_was_dropped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = syzkaller_pair.build(tmp_path / "syzkaller")
    source = tmp_path / "x.syz"
    source.write_text(f"# kbisect-crash: WARNING in foo\n{STRUCT}{CALLS}unknown$call(0x0)\n")
    assert main(["syz2c", str(source), f"--syzkaller={folder}"]) == ExitCode.FOUND
    said = capsys.readouterr()
    assert "1 of 5 calls are not in it: this syzkaller does not know them" in said.err
    assert "every other call is asynchronous instead" in said.err
    text = (tmp_path / "x.c").read_text()
    assert text.startswith("// kbisect-crash: WARNING in foo\n")
    assert "// -procs=8\n" in text
    assert "// -repeat=0\n" in text
    assert "// -enable=tun,close_fds\n" in text
    assert "(fail_nth: 5)" in text
    source.write_text(JSON + "panic()\n")
    assert main(["syz2c", str(source), f"--syzkaller={folder}"]) == ExitCode.USAGE
    assert "cannot convert x.syz (panic: bad slowdown 0): try another revision" in capsys.readouterr().err


@needs_gcc
def test_the_log_says_what_syzkaller_leaves_out(tmp_path: Path) -> None:
    folder = syzkaller_pair.build(tmp_path / "syzkaller")
    source = tmp_path / "x.syz"
    source.write_text(f"{PLAIN}{CALLS}unknown$call(0x0)\n")
    revision, lost = SyzPrograms(folder).prepare(source, tmp_path / "cache").log
    assert revision == f"building syzkaller on {syzkaller_pair.REVISION}"
    assert "x.syz: this syzkaller does not know 1 of 5 calls and leaves out" in lost
    (folder / "bin" / "syz-prog2c").write_text(
        '#!/bin/sh\n[ $1 = -help ] && { echo "  -trace"; exit; }\n'
        'echo "failed to deserialize the program: unknown syscall foo\\$bar" >&2\nexit 1\n'
    )
    (_, lost) = SyzPrograms(folder).prepare(source, tmp_path / "cache").log
    assert "does not know the call foo$bar" in lost
    source.write_text(PLAIN + CALLS)
    syzkaller_pair.build(folder)
    assert len(SyzPrograms(folder).prepare(source, tmp_path / "cache").log) == 1


@needs_gcc
def test_without_trace_it_cannot_be_known_what_was_dropped(tmp_path: Path) -> None:
    folder = syzkaller_pair.build(tmp_path, flags=("-DNO_TRACE",))
    program = prog2c.find(folder)
    assert program is not None
    made = prog2c.convert(program, "x.syz", CALLS, calls(CALLS), None, "amd64")
    assert made.dropped is None


# -- played guests ---------------------------------------------------------------------------------------

builds_kernels = pytest.mark.skipif(
    not all(map(shutil.which, ("qemu-system-x86_64", "gcc", "perl", "busybox"))),
    reason="this host builds no kernels",
)
PLAIN = '#{"procs":1,"sandbox":"none","close_fds":false}\n'


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    (tmp_path / "crash.syz").write_text(f"# kbisect-runs: 4\n{SEE}{PLAIN}{CALLS}")
    syzkaller_pair.build(tmp_path / "syzkaller")
    return place


@pytest.mark.bisection
@builds_kernels
def test_a_bisection_with_a_syz_program(place: Place) -> None:
    place.change("before")
    culprit = place.play("The culprit", "crash")
    place.change("after")
    given = "--kbisect-syzkaller=syzkaller", "crash.syz::crash"
    done = place.bisect(*given, PLAYED_STDERR="executed programs: 0")
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert place.result()["culprit"] == culprit
    log = (place.path / "result" / "bisect.log").read_text().splitlines()
    assert log[1] == f"building syzkaller on {syzkaller_pair.REVISION}"
    assert set(place.journal()[0]["tools"]) == {"syz-execprog", "syz-executor"}
    assert [path.name for path in (place.path / "result" / "repro").iterdir()] == ["crash.syz"]
    initramfs = (place.path / "result" / "repeat" / "initramfs.cpio").read_bytes()
    assert b"/repro/crash.syz/syz-execprog -executor /repro/crash.syz/syz-executor -arch=amd64" in initramfs
    # Another syzkaller is another bisection; and the reports can be made again with it.
    report = "report", str(place.path / "result"), f"--cache={place.path / 'cache'}"
    assert main([*report, f"--syzkaller={place.path / 'syzkaller'}"]) == ExitCode.FOUND
    syzkaller_pair.build(place.path / "syzkaller", old=True)
    done = place.bisect(*given, PLAYED_STDERR="executed programs: 0")
    assert done.code == ExitCode.USAGE
    assert "belongs to another bisection: its tools is" in done.err


@builds_kernels
@pytest.mark.parametrize(
    ("header", "stderr", "reason"),
    [
        (PLAIN, "SYZFAIL: cannot set up", "cannot test this kernel: syz-executor failed: cannot set up"),
        (PLAIN, "", "cannot test this kernel: syz-execprog did not begin to execute the program"),
        (JSON, "executed programs: 0", "the kernel lacks CONFIG_TUN, which the option 'tun' needs"),
    ],
)
def test_a_run_that_says_nothing_is_no_success(place: Place, header: str, stderr: str, reason: str) -> None:
    (place.path / "crash.syz").write_text(header + CALLS)
    given = "--kbisect-syzkaller=syzkaller", "--kbisect-runs=1", "crash.syz"
    done = place.pytest(*given, PLAYED_STDERR=stderr)
    assert done.code == ExitCode.FAILED, done.out + done.err
    assert reason in done.out
    place.play("A crash says more", "crash")
    done = place.pytest(*given, PLAYED_STDERR=stderr)
    assert "cannot test this kernel" not in done.out
    assert "WARNING in start" in done.out


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ((), "crash.syz is a syz program: give --kbisect-syzkaller DIR, a built syzkaller"),
        (("--kbisect-syzkaller=absent",), "there is no such folder, give one with --kbisect-syzkaller"),
    ],
)
@builds_kernels
def test_a_syz_program_needs_a_syzkaller(place: Place, given: tuple[str, ...], complaint: str) -> None:
    done = place.pytest(*given, "crash.syz")
    assert done.code == ExitCode.USAGE
    assert complaint in done.err
    assert "Traceback" not in done.out + done.err
