"""Whole bisections in which the user controls what is tested: arguments, patches, and where to look."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from miniature import MAIN
from played_guests import plays
from whole import Place

from pytest_kbisect.errors import ExitCode

pytestmark = [
    pytest.mark.bisection,
    pytest.mark.skipif(
        not all(map(shutil.which, ("qemu-system-x86_64", "gcc"))), reason="this host builds no kernels"
    ),
]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# -- arguments ---------------------------------------------------------------------------------------------


def test_a_bug_that_needs_a_kernel_argument(place: Place) -> None:
    place.change("before")
    culprit = place.play("The culprit", "crash+slub_debug=P")
    place.change("after")
    assert place.bisect(to="without").code == ExitCode.NOT_REPRODUCED
    done = place.bisect('--kbisect-cmdline=slub_debug=P dyndbg="file a.c +p"')
    assert done.code == ExitCode.FOUND, done.out + done.err
    told = place.result()
    assert told["culprit"] == culprit
    assert told["cmdline"] == ['slub_debug=P dyndbg="file a.c +p"']
    assert (
        r'slub_debug=P dyndbg=\"file a.c +p\" ${ARGUMENTS:-}"'
        in (place.path / "result" / "repeat.sh").read_text()
    )
    refused = place.bisect()
    assert refused.code == ExitCode.USAGE
    assert 'its cmdline is ["slub_debug=P dyndbg' in refused.err


def test_devices_that_the_reproducer_asks_for(place: Place) -> None:
    """In its own lines: kernel arguments too. What QEMU cannot freeze is said once."""
    (place.path / "crash.sh").write_text(
        "# kbisect-qemu: -drive file=null-co://,if=none,id=d\n# kbisect-qemu: -device nvme,serial=1,drive=d\n"
        "# kbisect-cmdline: nvme.poll_queues=1\ntrue\n"
    )
    place.change("before")
    culprit = place.play("The culprit", "crash+nvme,serial=1")
    place.change("after")
    done = place.bisect()
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert place.result()["culprit"] == culprit
    said = [note for note in done.notes if "cannot be frozen" in note]
    assert len(said) == 1, done.out
    assert "guests with these devices are booted for each run" in said[0]
    assert "non-migratable device" in said[0]
    script = (place.path / "result" / "repeat.sh").read_text()
    assert "-device nvme,serial=1,drive=d -snapshot \\" in script
    assert "nvme.poll_queues=1 ${ARGUMENTS:-}" in script


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--kbisect-qemu=-device foo"],
            "-device foo: 'foo' is not a valid device model name: check the arguments",
        ),
        (
            ["--kbisect-qemu=-append quiet"],
            "--kbisect-qemu, kbisect-qemu:: -append cannot be used: use --kbisect-cmdline",
        ),
        (["--kbisect-qemu=-device 'edu"], "cannot be split: No closing quotation: add the missing quote"),
        (
            ["--kbisect-cmdline=console=tty0"],
            "'console=tty0' cannot be used: kbisect reads the guest's own console",
        ),
        (["--kbisect-cmdline=a\tb"], "has a control character"),
        (["--kbisect-cmdline="], "--kbisect-cmdline: '' cannot be used: give a value, or remove the option"),
        (["--kbisect-patch=nothing.patch"], "cannot read the patch "),
    ],
)
def test_what_cannot_be_used_ends_a_bisection_before_a_build(
    place: Place, words: list[str], message: str
) -> None:
    place.play("The culprit", "crash")
    done = place.bisect(*words)
    assert done.code == ExitCode.USAGE, done.out
    assert message in done.err
    assert "Traceback" not in done.out + done.err
    assert place.linux.builds == 0
    assert place.pytest(*words, "crash.sh").code == ExitCode.USAGE


# -- patches -----------------------------------------------------------------------------------------------


def patch(place: Place, name: str, before: dict[str, str], after: dict[str, str]) -> str:
    """A mail, made of a commit that is on no branch afterwards."""
    git = place.linux.git
    head = git("rev-parse", "HEAD")
    place.linux.commit("before", before)
    place.linux.commit("A fix", after)
    (place.path / name).write_text(git("format-patch", "-1", "--stdout") + "\n")
    git("reset", "-q", "--hard", head)
    return f"--kbisect-patch={name}"


def test_a_range_that_builds_only_with_a_patch(place: Place) -> None:
    """Broken from before the range until a commit in it has the fix; one on the way conflicts."""
    broken = {"include/linux/fixed.h": "nonsense\n"}
    fixed = {"include/linux/fixed.h": "int fixed;\n"}
    fix = patch(place, "fix.patch", broken, fixed)
    include = "#include <linux/fixed.h>\n"
    good = place.linux.commit("Broken", {**broken, "init/main.c": include + MAIN})
    place.grow(2, "one")
    conflict = place.linux.commit("Broken otherwise", {"include/linux/fixed.h": "more nonsense\n"})
    place.linux.commit("Broken again", broken)
    culprit = place.linux.commit(
        "The culprit", {"init/main.c": include + MAIN + 'const char p[] = "plays:crash";\n'}
    )
    place.change("after")
    place.linux.commit("Fixed", fixed)
    range_ = f"--kbisect-range={good}..HEAD"
    assert place.bisect(range_, to="without").code != ExitCode.FOUND
    done = place.bisect(range_, fix)
    assert done.code == ExitCode.FOUND, done.out + done.err
    told = place.result()
    assert (told["culprit"], [Path(name).name for name in told["patches"]]) == (culprit, ["fix.patch"])
    assert told["confirmation"]["revert"] == "passed", "it is applied where the culprit is taken back, too"
    page = (place.path / "result" / "report.html").read_text()
    assert "fix.patch" in page
    assert "fix.patch" in (place.path / "result" / "report.eml").read_text()
    skipped = [one for one in told["tested"] if one["build_error"]]
    for one in skipped:
        assert one["commit"] == conflict
        assert "fix.patch does not apply: include/linux/fixed.h:1" in one["build_error"]
    done = place.pytest(f"--kbisect-commit={conflict}", fix, "crash.sh", "--kbisect-runs=1")
    assert done.code == ExitCode.USAGE
    assert f"{conflict[:12]}: fix.patch does not apply: include/linux/fixed.h:1" in done.out + done.err
    (place.path / "fix.patch").write_text((place.path / "fix.patch").read_text().replace("A fix", "The fix"))
    refused = place.bisect(range_, fix)
    assert refused.code == ExitCode.USAGE
    assert "belongs to another bisection: its patches is" in refused.err


def test_a_patch_that_applies_nowhere(place: Place) -> None:
    fix = patch(place, "fix.patch", {"init/gone.c": "int gone;\n"}, {"init/gone.c": "int fixed;\n"})
    place.play("The culprit", "crash")
    done = place.bisect(fix)
    assert done.code == ExitCode.USAGE
    assert "--kbisect-patch: fix.patch does not apply: " in done.err
    assert "it applies nowhere in the range: give a patch that does" in done.err
    assert place.linux.builds == 0


# -- known verdicts ----------------------------------------------------------------------------------------


def main(n: int, *, crash: bool) -> str:
    """A kernel's source, unlike all others."""
    return f'{MAIN}const char step[] = "{n}";\n{plays("crash") if crash else ""}'


def line(place: Place, count: int, culprit: int) -> list[str]:
    """Commits that each change the kernel; those from the culprit on crash."""
    commits = []
    for n in range(count):
        name = f"include/linux/step{n}.h"
        commits.append(
            place.linux.commit(f"step {n}", {name: "", "init/main.c": main(n, crash=n >= culprit)})
        )
    return commits


def test_known_verdicts_save_builds_and_a_wrong_one_is_outvoted(place: Place) -> None:
    commits = line(place, 14, 9)
    log = place.path / "verdicts"
    log.write_text(
        f"# from the lab\ngood {commits[7][:12]} 10 runs\nbad {commits[10]}  # twice\n"
        f"good {commits[11]} 1 runs\nskip {commits[3]}\nbad {commits[13]}\n"
    )
    done = place.bisect("--kbisect-known=verdicts")
    assert done.code == ExitCode.FOUND, done.out + done.err
    told = place.result()
    assert told["culprit"] == commits[9]
    known = {one["commit"]: one for one in told["known"]}
    assert {sha: one["outvoted"] for sha, one in known.items()} == {
        commits[7]: False,
        commits[10]: False,
        commits[11]: True,
        commits[3]: None,
        commits[13]: False,
    }
    assert known[commits[7]] | {"title": ""} == {
        "commit": commits[7],
        "title": "",
        "verdict": "good",
        "runs": 10,
        "where": "verdicts:2",
        "trust": 0.9,
        "outvoted": False,
    }
    assert "# known verdicts: 2 good, 2 bad, 1 skip" in done.out
    contradiction = (
        f"# contradictory verdicts: {commits[10][:12]} is bad (verdicts:3), and its descendant "
        f"{commits[11][:12]} is good (verdicts:4, 1 runs): one is wrong, runs will decide"
    )
    assert contradiction in done.out
    assert f"# outvoted: {commits[11][:12]} is good (verdicts:4)" in done.out
    page = (place.path / "result" / "report.html").read_text()
    assert f"outvoted: {commits[11][:12]} good (verdicts:4)" in page
    tested = {one["commit"] for one in told["tested"]}
    assert commits[3] not in tested
    assert len(tested) <= 4, "the ends of what the verdicts leave, and what contradicts"
    again = place.bisect("--kbisect-known=verdicts")
    assert again.code == ExitCode.FOUND
    assert place.result()["known"] == told["known"]
    replayed = place.pytest("--kbisect-replay=result/journal.jsonl", played=False)
    assert f"{commits[9][:12]} step 9" in replayed.out


def test_known_verdicts_of_git_and_of_another_bisection(place: Place) -> None:
    commits = line(place, 10, 6)
    git = place.linux.git
    git("bisect", "start", commits[9], place.linux.base)
    git("bisect", "good", commits[3])
    (place.path / "git.log").write_text(git("bisect", "log"))
    git("bisect", "reset")
    done = place.bisect("--kbisect-known=git.log", to="first")
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert "# known verdicts: 1 good, 1 bad; 1 of commits outside the range are left out" in done.out
    done = place.bisect("--kbisect-known=first/journal.jsonl", to="second")
    assert done.code == ExitCode.FOUND, done.out + done.err
    first, second = place.result("first"), place.result("second")
    assert first["culprit"] == second["culprit"] == commits[6]
    assert {(one["commit"], one["verdict"]) for one in second["known"]} >= {
        (commits[6], "bad"),
        (commits[5], "good"),
    }
    assert len({one["commit"] for one in second["tested"]}) == 3, "the bad end, the culprit and its parent"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "good {0}\nbad {0} 3 runs\n",
            "contradictory verdicts: {0:.12} is good (verdicts:1), and {0:.12} is bad (verdicts:2, 3 runs)",
        ),
        (
            "good {1}\n",
            "contradictory verdicts: {1:.12} is good (verdicts:1), but --kbisect-range says it is bad",
        ),
        ("fine {0}\n", "verdicts:1: 'fine {0}' is no verdict: write good, bad or skip"),
        ("good nonsense\n", "verdicts:1: unknown revision 'nonsense'"),
        ("# nothing\n", "holds no verdict: give a git bisect log"),
    ],
)
def test_verdicts_that_cannot_be_used(place: Place, text: str, message: str) -> None:
    commits = line(place, 3, 2)
    (place.path / "verdicts").write_text(text.format(commits[1], commits[2]))
    done = place.bisect("--kbisect-known=verdicts")
    assert done.code == ExitCode.USAGE, done.out
    assert message.format(commits[1], commits[2]) in done.err
    assert "Traceback" not in done.err
    assert place.linux.builds == 0


def test_git_bisects_rules_take_no_account_of_them(place: Place) -> None:
    line(place, 3, 2)
    (place.path / "verdicts").write_text("good HEAD~1\n")
    done = place.bisect("--kbisect-known=verdicts", "--kbisect-strategy=classic")
    assert done.code == ExitCode.USAGE
    assert "--kbisect-known needs a strategy that weighs evidence" in done.err


# -- where to look -----------------------------------------------------------------------------------------


def test_commits_that_touch_a_path_are_searched_first(place: Place) -> None:
    commits = []
    for n in range(16):
        text = main(n, crash=n >= 10)
        own = {"drivers/net/a.c": f"int a{n};\n"} if n in {4, 10} else {}
        commits.append(place.linux.commit(f"step {n}", {"init/main.c": text, **own}))
    done = place.bisect("--kbisect-paths=drivers/net")
    assert done.code == ExitCode.FOUND, done.out + done.err
    told = place.result()
    assert (told["culprit"], told["paths"]) == (commits[10], ["drivers/net"])
    tested = [one["commit"] for one in told["tested"]]
    without = place.bisect(to="without")
    assert without.code == ExitCode.FOUND
    assert len(tested) < len(place.result("without")["tested"])
    assert (
        "drivers/net (their commits were searched first)"
        in (place.path / "result" / "report.html").read_text()
    )
    done = place.bisect("--kbisect-paths=include", to="elsewhere")
    assert done.code == ExitCode.USAGE
    assert (
        f"--kbisect-paths: no commit of {place.linux.base[:12]}..{commits[-1][:12]} touches include: name a"
        in done.err
    )


def test_a_culprit_between_the_paths_is_found(place: Place) -> None:
    commits = []
    for n in range(12):
        text = main(n, crash=n >= 7)
        own = {"drivers/net/a.c": f"int a{n};\n"} if n in {3, 9} else {}
        commits.append(place.linux.commit(f"step {n}", {"init/main.c": text, **own}))
    done = place.bisect(f"--kbisect-paths={place.linux.path}/drivers")
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert place.result()["culprit"] == commits[7]


def merged(place: Place) -> tuple[str, str, list[str]]:
    """Merges, and in the branch of one the culprit. -> the culprit, its merge, the first-parent line"""
    git, culprit, merge, steps = place.linux.git, "", "", [place.linux.base]
    for n in range(6):
        git("checkout", "-q", "-b", f"topic{n}")
        for m in range(3):
            files = {f"include/linux/topic{n}.h": f"/* {m} */\n"}
            if (n, m) == (3, 1):
                text = 'const char plays[] = "plays:crash";\n'
                culprit = place.linux.commit("The culprit", {"init/main.c": MAIN + text})
            else:
                place.linux.commit(f"topic {n} {m}", files)
        git("checkout", "-q", "master")
        git("merge", "-q", "--no-ff", "-m", f"Merge topic{n}", f"topic{n}")
        steps.append(git("rev-parse", "HEAD"))
        merge = steps[-1] if n == 3 else merge
    return culprit, merge, steps


def test_the_merge_is_found_and_then_what_it_brought_in(place: Place) -> None:
    culprit, merge, steps = merged(place)
    done = place.bisect("--kbisect-first-parent")
    assert done.code == ExitCode.FOUND, done.out + done.err
    told = place.result()
    assert (told["culprit"], told["first_parent"], told["commits"]) == (merge, True, 6)
    assert "branch" in told["flags"]
    assert "--kbisect-into-merge finds out" in done.out
    assert {one["commit"] for one in told["tested"]} <= set(steps)
    known = len(place.journal())
    done = place.bisect("--kbisect-first-parent", "--kbisect-into-merge")
    assert done.code == ExitCode.FOUND, done.out + done.err
    told = place.result()
    assert (told["culprit"], told["merge"], told["commits"]) == (culprit, merge, 6)
    assert told["range"] == [place.linux.base, steps[-1]]
    assert "branch" not in told["flags"]
    assert told["confirmation"]["revert"] == "passed"
    assert f"# {merge[:12]} is a merge: on to the commits that it brought in" in done.out
    assert merge in {one["commit"] for one in told["tested"]}
    phases = [one.get("phase") for one in place.journal() if one["kind"] == "tested"]
    assert "merge" in phases[-3:]
    assert len(place.journal()) > known, "what was known was not tested again"
    page = (place.path / "result" / "report.html").read_text()
    assert f"the first-parent line, then the commits of the merge {merge[:12]}" in page
    whole = place.bisect()
    assert whole.code == ExitCode.FOUND, "the same journal serves the search of all commits"
    assert place.result()["culprit"] == culprit


def test_a_second_step_needs_a_first(place: Place) -> None:
    place.play("The culprit", "crash")
    done = place.bisect("--kbisect-into-merge")
    assert done.code == ExitCode.USAGE
    assert "--kbisect-into-merge is a second step: add --kbisect-first-parent" in done.err
