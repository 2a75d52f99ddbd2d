"""syz programs in real guests, run by a stand-in for syzkaller with the same command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import syzkaller_pair
from junitparser import JUnitXml, Properties

from pytest_kbisect import properties

PLAIN = '#{"procs":1,"slowdown":1,"sandbox":"none","sandbox_arg":0,"close_fds":false}\n'
ENDLESS = PLAIN.replace('"procs"', '"repeat":true,"procs"')


def kbisect(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def ends(xml: Path) -> dict[str, tuple[str, str]]:
    """Outcome and title of each program's run."""
    found = {}
    for suite in JUnitXml.fromfile(str(xml)):
        for case in suite:
            facts = {item.name: item.value for item in case.child(Properties) or ()}
            found[case.name.partition("[")[0]] = (facts[properties.OUTCOME], facts.get(properties.TITLE, ""))
    return found


@pytest.mark.guest
def test_what_runs_of_syz_programs_come_to(linux_clone, configuration, tmp_path) -> None:
    """Programs that end well, run until their time is over, crash, fail, or ask for what is not there."""
    programs = {
        "ends": PLAIN + "getpid()\n",
        "repeats": f"# kbisect-timeout: 3\n{ENDLESS}getpid()\n",
        "crashes": PLAIN + "sysrq$crash()\n",
        "fails": PLAIN + "fail$setup()\n",
        "fails_for_ever": f"# kbisect-timeout: 3\n{ENDLESS}fail$setup()\n",
        "lacks": PLAIN.replace('"procs"', '"wifi":true,"procs"') + "getpid()\n",
        "crashes_and_lacks": PLAIN.replace('"procs"', '"wifi":true,"procs"') + "sysrq$crash()\n",
    }
    for name, text in programs.items():
        (tmp_path / f"{name}.syz").write_text(text)
    done = kbisect(
        tmp_path,
        *(f"{name}.syz" for name in programs),
        f"--kbisect-kernel={linux_clone.path}",
        f"--kbisect-commit={linux_clone.demo.good}",
        f"--kbisect-config={configuration}",
        f"--kbisect-syzkaller={syzkaller_pair.build(tmp_path / 'syzkaller')}",
        "--kbisect-runs=1",
        f"--junitxml={tmp_path / 'out.xml'}",
    )
    assert done.returncode == 1, done.stdout + done.stderr
    found = ends(tmp_path / "out.xml")
    assert {name: outcome for name, (outcome, _) in found.items()} == {
        "ends": "ok",
        "repeats": "ok",
        "crashes": "crashed",
        "fails": "infra-failed",
        "fails_for_ever": "infra-failed",
        "lacks": "infra-failed",
        "crashes_and_lacks": "crashed",
    }
    assert "syz-executor failed: cannot set up (errno 1: Operation not permitted)" in found["fails"][1]
    assert "the kernel lacks CONFIG_MAC80211_HWSIM, which the option 'wifi' needs" in found["lacks"][1]


@pytest.mark.guest
@pytest.mark.parametrize("old", [False, True])
def test_the_seeds_bug_as_a_syz_program(linux_clone, buggy, configuration, tmp_path, old: bool) -> None:
    """Of either generation of syzkaller: it crashes a kernel with the bug, and none without."""
    if linux_clone.demo.reproducer != "tun_napi_frags.c":
        pytest.skip(f"the demo's bug on Linux {linux_clone.demo.version} is not the one in tun")
    folder = syzkaller_pair.build(tmp_path / "syzkaller", old=old)
    for commit, code in ((buggy, 1), (linux_clone.demo.good, 0)):
        done = kbisect(
            tmp_path,
            str(syzkaller_pair.TUN),
            f"--kbisect-kernel={linux_clone.path}",
            f"--kbisect-commit={commit}",
            f"--kbisect-config={configuration}",
            f"--kbisect-syzkaller={folder}",
            "--kbisect-runs=2",
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert ("WARNING in pskb_expand_head" in done.stdout) == bool(code)


@pytest.mark.kernel
def test_a_bisection_of_the_seeds_bug(linux_clone, configuration, tmp_path) -> None:
    demo = linux_clone.demo
    if demo.reproducer != "tun_napi_frags.c":
        pytest.skip(f"the demo's bug on Linux {demo.version} is not the one in tun")
    line = linux_clone.git("rev-list", "--first-parent", "--reverse", f"{demo.good}..{demo.bad}").split()
    at = line.index(demo.culprit)
    done = kbisect(
        tmp_path,
        str(shutil.copy(syzkaller_pair.TUN, tmp_path / "bug.syz")),
        f"--kbisect-kernel={linux_clone.path}",
        f"--kbisect-range={line[at - 3]}..{line[at + 3]}",
        f"--kbisect-config={configuration}",
        f"--kbisect-syzkaller={syzkaller_pair.build(tmp_path / 'syzkaller')}",
        f"--kbisect-dir={tmp_path / 'result'}",
        "-n2",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / "result" / "result.json").read_text())["culprit"] == demo.culprit
    log = (tmp_path / "result" / "bisect.log").read_text().splitlines()
    begins = next(n for n, line in enumerate(log) if line.startswith("bisecting cause commit"))
    assert log[begins + 1] == f"building syzkaller on {syzkaller_pair.REVISION}"
