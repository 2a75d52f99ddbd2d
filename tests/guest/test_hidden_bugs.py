"""Short bisections of real kernels in which something stands before the bug (see hidden_bugs)."""

from __future__ import annotations

import json

import pytest
from hidden_bugs import REPRODUCER, TITLE, Hides, Plan, make
from test_reproducers import cases, kbisect

from pytest_kbisect import properties

SHORT = {
    Hides.WARNING: Plan(12, 6, (3, 9), Hides.WARNING),
    Hides.REFUSAL: Plan(12, 2, (4, 9), Hides.REFUSAL),
}


@pytest.fixture
def reproducer(tmp_path):
    path = tmp_path / "kbx.c"
    path.write_text(REPRODUCER)
    return path


@pytest.mark.kernel
def test_all_reports_of_a_run_are_told_and_any_fails_it(linux_clone, reproducer, tmp_path) -> None:
    line, xml = make(linux_clone, SHORT[Hides.WARNING]), tmp_path / "out.xml"
    done = kbisect(
        *(str(reproducer), f"--kbisect-kernel={linux_clone.path}", f"--kbisect-commit={line[8]}"),
        *("--kbisect-runs=2", f"--junitxml={xml}"),
        cwd=tmp_path,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"also reported in this run: {TITLE}" in done.stdout
    for _, told, ends in cases(xml):
        assert (told[properties.TITLE], ends) == ("WARNING in kbx_check", ["Failure"])
        assert told[properties.WHOLE] == "1"
        assert json.loads(told[properties.REPORT])["title"] == TITLE  # the last of them


@pytest.mark.kernel
@pytest.mark.parametrize("hides", SHORT)
def test_what_hides_the_bug_does_not_mislead(linux_clone, reproducer, tmp_path, hides) -> None:
    plan = SHORT[hides]
    line, folder = make(linux_clone, plan), tmp_path / "result"
    done = kbisect(
        *(str(reproducer), f"--kbisect-kernel={linux_clone.path}", f"--kbisect-dir={folder}"),
        f"--kbisect-range={line[0]}..{line[-1]}",
        cwd=tmp_path,
    )
    answer = json.loads((folder / "result.json").read_text())
    culprit = line[plan.culprit + 1]
    if answer["kind"] == "culprit" and done.returncode == 0:
        assert answer["culprit"] == culprit, done.stdout
        assert not answer["flags"]
    else:
        assert hides is Hides.REFUSAL
        assert done.returncode == 6, done.stdout + done.stderr
        assert culprit in {sha for sha, _, _ in answer["candidates"]}
    log = (folder / "bisect.log").read_text()
    assert "# runs that come to the bug execute kbx_store, kbx_control" in log
    if hides is Hides.WARNING:
        assert "# also reported: WARNING in kbx_check" in log
    else:
        assert "ended well without executing kbx_store: they say nothing of the bug" in log
