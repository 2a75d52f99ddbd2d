"""What real runs come to by the symptoms that reproducers state: one run of each, in guests of one kernel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from junitparser import JUnitXml, Properties

from pytest_kbisect import properties
from pytest_kbisect.errors import ExitCode

FILES = {
    # name: (symptom, text, outcome, title, element of JUnit)
    "exits.sh": ("exit-status", "echo hello; exit 3", "failed", "exits: exit status 3", "Failure"),
    "fine.sh": ("exit-status", "true", "ok", "", ""),
    "killed.sh": ("exit-status", "kill -9 $$", "failed", "killed: killed by SIGKILL", "Failure"),
    "segv.c": (
        "exit-status",
        "#include <signal.h>\nint main(void) { raise(SIGSEGV); return 0; }",
        "failed",
        "segv: killed by SIGSEGV",
        "Failure",
    ),
    "silent.sh": (
        "exit-status",
        "exit 125",
        "silent",
        "silent says that it cannot test this kernel: exit status 125",
        "Error",
    ),
    "masked.sh": (
        "exit-status",
        "echo c >/proc/sysrq-trigger; sleep 5; exit 3",
        "crashed",
        "kernel panic: sysrq triggered crash",
        "Failure",
    ),
    "tap.sh": (
        "subtest tls*",
        "echo ok 1 tls.a; echo not ok 2 tls.b; echo not ok 3 x",
        "failed",
        "not ok: tls.b",
        "Failure",
    ),
    "skips.sh": ("subtest tls*", "echo 'ok 1 tls.a # SKIP'", "silent", "skipped: tls.a", "Error"),
    "none.sh": (
        "subtest tls*",
        "echo ok 1 vlan",
        "silent",
        "no subtest of none matches 'tls*': name one of those that it prints (vlan)",
        "Error",
    ),
    "prints.sh": (
        "console li.k is down",
        "echo '<4>eth0: link is down' >/dev/kmsg",
        "failed",
        "console: /li.k is down/",
        "Failure",
    ),
    "says.sh": ("console li.k is gone", "echo link is gone", "ok", "", ""),
    "slow.sh": ("timeout\n# kbisect-timeout: 3", "sleep 20", "failed", "slow: not ended in time", "Failure"),
    "boots.sh": ("boot", "exit 7", "ok", "", ""),
}


@pytest.mark.guest
def test_runs_are_bad_good_or_silent(linux_clone, buggy, configuration, tmp_path: Path) -> None:
    for name, (symptom, text, *_) in FILES.items():
        comment = "//" if name.endswith(".c") else "#"
        (tmp_path / name).write_text(f"{comment} kbisect-bad-when: {symptom}\n{text}\n")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", *FILES, f"--kbisect-kernel={linux_clone.path}"),
            *(f"--kbisect-commit={buggy}", f"--kbisect-config={configuration}", "--kbisect-runs=1"),
            "--junitxml=out.xml",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.FAILED, done.stdout + done.stderr
    found = {}
    for case in (case for suite in JUnitXml.fromfile(str(tmp_path / "out.xml")) for case in suite):
        facts = {item.name: item.value for item in case.child(Properties)}
        end = "".join(type(one).__name__ for one in case.result)
        name = case.name.partition("[")[0]
        found[name] = facts[properties.OUTCOME], facts.get(properties.TITLE, ""), end
    assert found == {Path(name).stem: tuple(wanted) for name, (_, _, *wanted) in FILES.items()}
