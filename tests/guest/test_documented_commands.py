"""Every command of README.md and docs/: known to the command line, run on a real kernel as a reader would."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "plugin"))

import pages
import small_images

from pytest_kbisect import commands, options

if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_RUN = {
    "python3 -m pytest_kbisect demo": "installs packages, and takes a quarter of an hour; tests/demo tests its parts",
    "python3 -m pytest_kbisect test": "would run this test",
    "pytest --kbisect-kernel ~/linux --kbisect-range v6.1..HEAD -n auto --kbisect-jobs 32 repro/crash.c": (
        "wants a big machine"
    ),
    "pytest --kbisect-kernel ~/linux --kbisect-range v6.1..HEAD --kbisect-each repro/": (
        "needs a kernel with several bugs; tests/plugin/test_each.py makes such bisections"
    ),
    "pytest --kbisect-kernel ~/linux --kbisect-range v6.1..HEAD --kbisect-config ~/syzbot.config --kbisect-minimize-config repro/crash.c": (
        "needs a whole configuration, whose build takes half an hour; tests/plugin/test_small_configurations.py makes"
        " such bisections"
    ),
    **dict.fromkeys(
        (
            "pytest --kbisect-kernel ~/linux --kbisect-range v6.1..HEAD --kbisect-patch build-fix.patch repro/crash.c",
            "pytest --kbisect-kernel ~/linux --kbisect-range v6.1..HEAD --kbisect-known verdicts.txt repro/crash.c",
            "pytest --kbisect-kernel ~/linux --kbisect-range v6.1..HEAD --kbisect-paths drivers/net --kbisect-paths net repro/crash.c",
            "pytest --kbisect-kernel ~/linux --kbisect-range v6.1..HEAD --kbisect-first-parent repro/crash.c",
        ),
        "the reader's own files and history; tests/plugin/test_controlled_bisections.py makes such bisections",
    ),
    **dict.fromkeys(
        (
            "pytest --kbisect-kernel ~/linux --kbisect-range v6.1..HEAD --kbisect-config /boot/config-6.1.0 --kbisect-ask",
            "pytest --kbisect-kernel ~/linux --kbisect-range v6.1..HEAD --kbisect-config lab.config --kbisect-ask --kbisect-deliver ./install.sh",
            "pytest --kbisect-kernel ~/linux --kbisect-range v6.1..HEAD --kbisect-ask --kbisect-shell",
        ),
        "waits for a person; tests/plugin/test_asking.py has one",
    ),
    "pytest --kbisect-kernel ~/linux --kbisect-range v6.1..HEAD --kbisect-modules repro/unload.sh": (
        "the reader's own file; test_modules.py makes such a bisection"
    ),
    "pytest --kbisect-kernel ~/linux --kbisect-range v6.1..HEAD repro/listen.sh": (
        "needs a kernel with that bug; tests/plugin/test_symptoms.py makes such bisections"
    ),
    "pytest --kbisect-prebuilt apt --kbisect-range v6.1.170-3..v6.1.192-3 --kbisect-memory 1024 repro/crash.c": (
        "downloads packages; test_packages.py bisects some"
    ),
    **dict.fromkeys(
        (
            "kbisect setup --arch arm64",
            "pytest --kbisect-arch arm64 --kbisect-kernel ~/linux --kbisect-range v6.1..HEAD repro/crash.c",
        ),
        "downloads packages and builds another kernel; test_foreign_guests.py boots such guests",
    ),
    **dict.fromkeys(
        (
            "kbisect syzbot 'https://syzkaller.appspot.com/bug?extid=45705298ba02d4de3f8c' --kernel ~/linux",
            "pytest --kbisect-kernel ~/linux --kbisect-range ..v5.11 --kbisect-config syzbot.config --kbisect-syzkaller ~/syzkaller repro/bug.syz",
            "pytest ... --kbisect-syzkaller ~/syzkaller --kbisect-syzkaller-command 'make target' repro/bug.syz",
            "kbisect syz2c repro/bug.syz --syzkaller ~/syzkaller",
        ),
        "the reader's own syzkaller and syzbot's site; tests/tools/test_syzbot.py and test_syz_in_guest.py play both",
    ),
    **dict.fromkeys(
        (
            "pytest --kbisect-kernel ~/linux --kbisect-range v6.1..HEAD repro/getppid.c",
            "pytest --kbisect-kernel ~/linux --kbisect-range v6.1..HEAD --kbisect-icount repro/getppid.c",
        ),
        "needs a kernel with a slower system call; tests/plugin/test_metrics.py makes such bisections",
    ),
    "pip install 'pytest-kbisect[farm]'": "would install it",
    "kbisect worker tls://10.0.0.1:8786 --listen 10.0.0.2 --kbisect-kernel ~/linux": "wants another machine",
    "kbisect doctor --kbisect-scheduler tls://10.0.0.1:8786": "wants another machine",
    "pytest --kbisect-kernel ~/linux --kbisect-range v6.1..HEAD --kbisect-scheduler tls://10.0.0.1:8786 -n auto repro/crash.c": (
        "wants another machine"
    ),
    "pytest --kbisect-kernel ~/linux --kbisect-range v6.1..HEAD --kbisect-scheduler ssh:host1,host2 repro/crash.c": (
        "wants other machines"
    ),
    "pytest --kbisect-kernel ~/linux --kbisect-range v6.1..HEAD --kbisect-scheduler local:2 repro/crash.c": (
        "takes minutes; tests/farm does the same with a miniature Linux"
    ),
}
"""What is not run as it stands, and why. That pytest knows its options is tested all the same."""

EXIT_CODES = {
    # HEAD has the bug; v6.1 has not.
    "pytest --kbisect-kernel ~/linux repro/crash.c": 1,
    "pytest --kbisect-kernel ~/linux --kbisect-config ~/syzbot.config --kbisect-memory 2048 repro/crash.c": 1,
    "pytest --kbisect-kernel ~/linux --kbisect-image ~/bookworm.img repro/crash.c": 1,
    'pytest --kbisect-kernel ~/linux --kbisect-cmdline="slub_debug=FZ nosmap" --kbisect-runs 1 repro/crash.c': 1,
    'pytest --kbisect-kernel ~/linux --kbisect-qemu="-device qemu-xhci -device usb-kbd" --kbisect-runs 1 repro/crash.c': 1,
    "pytest --kbisect-kernel ~/linux --kbisect-runs 1 --kbisect-shell repro/crash.c": 1,
    "pytest --kbisect-kernel ~/linux --kbisect-runs 1 --kbisect-gdb repro/crash.c": 1,
    "pytest --kbisect-kernel ~/linux --kbisect-commit v6.5 --kbisect-runs 20 --kbisect-cpus 4 -n 2 repro/race.c": 1,
}
"""Of those that do not end with 0."""

LAST = "@@ exit"


def blocks() -> list[pages.Block]:
    """Those with anything to run; a block that stands on two pages is run once."""
    return [block for block in pages.blocks("sh") if not {*block.lines} <= NOT_RUN.keys()]


def in_ci() -> list[str]:
    """The lines of the CI examples' scripts, among others."""
    return [line.strip().removeprefix("- ") for block in pages.blocks("yaml") for line in block.lines]


# -- the words ---------------------------------------------------------------------------------------------


def test_what_is_not_run_or_fails_is_still_on_a_page() -> None:
    assert NOT_RUN.keys() | EXIT_CODES.keys() <= {*pages.commands()}


def test_pytest_knows_every_option(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOD", "v6.1")
    found = [line.partition(" #")[0] for line in (*pages.commands(), *in_ci()) if line.startswith("pytest ")]
    assert len(found) > 8
    for line in found:
        words = shlex.split(os.path.expandvars(line))[1:]
        config = pytester.parseconfigure(*words)
        for word in words:
            if word.startswith("--kbisect-"):
                assert options.given(config, word.removeprefix("--kbisect-").partition("=")[0]), line


def test_kbisect_knows_every_verb_and_option(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    ran = []
    for verb in commands.VERBS:
        module = importlib.import_module(f"pytest_kbisect.commands.{verb}")
        monkeypatch.setattr(module, "run", lambda _, verb=verb: ran.append(verb) or 0)
    found = [line for line in (*pages.commands(), *in_ci()) if line.startswith("kbisect ")]
    for line in found:
        assert commands.main(shlex.split(line)[1:]) == 0, line
    assert {"setup", "doctor", "crash"} <= set(ran)


def test_every_other_command_is_a_well_known_one() -> None:
    others = {line.split()[0] for line in pages.commands()} - {"pytest", "kbisect"}
    assert others <= {"python3", "pip", "mkdir", "nc", "echo", "sleep"}


# -- the real thing ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tagged(linux_clone, buggy, tmp_path_factory) -> Iterator[Path]:
    """The tests' own clone, which has warm folders, with a reader's tags and his HEAD."""
    demo, git = linux_clone.demo, linux_clone.git
    line = git("rev-list", "--first-parent", "--reverse", f"{demo.good}..{demo.bad}").split()
    at = line.index(demo.culprit)
    index = tmp_path_factory.mktemp("index") / "index"
    repair = {"net/core/skbuff.c": linux_clone.read("net/core/skbuff.c", line[at - 1])}
    repaired = linux_clone.commit("Repair it", repair, index, line[at + 1])
    tags = {"v6.1": line[at - 3], "v6.2": line[at + 1], "v6.3": repaired, "v6.4": demo.bad, "v6.5": buggy}
    refs = {"refs/heads/reader": line[at + 3], **{f"refs/tags/{name}": tags[name] for name in tags}}
    head = git("symbolic-ref", "HEAD").strip()
    for ref, commit in refs.items():
        git("update-ref", ref, commit)
    git("symbolic-ref", "HEAD", "refs/heads/reader")
    yield linux_clone.path
    git("symbolic-ref", "HEAD", head)
    for ref in refs:
        git("update-ref", "-d", ref)


@pytest.fixture(scope="module")
def desk(tagged, buggy_kernel, configuration, tmp_path_factory) -> Path:
    """A reader's home: ~/linux with tags and a bug, ~/crash.c, and a folder to work in."""
    home = tmp_path_factory.mktemp("home")
    work = home / "work"
    (work / "repro").mkdir(parents=True)
    (home / "linux").symlink_to(tagged)
    for place in (home, work / "repro"):
        shutil.copy(pages.ROOT / "repro" / "tun_napi_frags.c", place / "crash.c")
    shutil.copy(pages.ROOT / "repro" / "timerfd_cancel_race.c", work / "repro" / "race.c")
    (work / "repro" / "test_sample_rate.py").write_text(pages.blocks("python")[0].text)
    # A stand-in for a whole configuration, which would be one more kernel to build.
    shutil.copy(configuration, home / "syzbot.config")
    small_images.make(home / "bookworm.img")  # a stand-in, too
    (work / "pytest.ini").write_text(f"[pytest]\nkbisect_config = {configuration}\nkbisect_runs = 3\n")
    (home / "pytest-kbisect").symlink_to(pages.ROOT)
    (work / "vmlinux").symlink_to(buggy_kernel.vmlinux)
    return home


@pytest.mark.kernel
@pytest.mark.parametrize(
    "block", blocks(), ids=lambda block: re.sub(r"\W+", "-", f"{block.page} {block.text[:40]}")
)
def test_the_commands_of_the_pages_work(desk: Path, real_cache: Path, block: pages.Block) -> None:
    """The blocks in the pages' order: what one leaves the next may use."""
    _lay_out(desk)
    wanted = [line for line in block.lines if line not in NOT_RUN]
    script = "".join(f"{line}\necho '{LAST}' $?\n" for line in wanted)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {
        "HOME": str(desk),
        "KBISECT_CACHE": str(real_cache),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=desk / "work",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    ends = [int(line.removeprefix(LAST)) for line in done.stdout.splitlines() if line.startswith(LAST)]
    assert ends == [EXIT_CODES.get(line, 0) for line in wanted], done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def _lay_out(desk: Path) -> None:
    """Files that the pages name and an earlier block has made under another name."""
    work = desk / "work"
    consoles = sorted(work.glob("kbisect-results/*/sessions/*/**/console.log"))
    if consoles:
        shutil.copy(consoles[-1], work / "console.log")
    journals = sorted(work.glob("kbisect-results/crash-*/journal.jsonl"))
    if journals:
        (work / "old").mkdir(exist_ok=True)
        shutil.copy(journals[0], work / "old" / "journal.jsonl")
