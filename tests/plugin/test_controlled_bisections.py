"""Whole bisections in which the user controls what is tested: arguments, patches, and where to look."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from miniature import MAIN
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
            "-device foo: 'foo' is not a valid device model name: change the arguments",
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
