"""A whole bisection against `git bisect run` with a plain script.

    python tests/benchmarks/whole.py --kernel DIR --range A..B --culprit SHA [--runs 10] [--warm]
        [--image FILE] REPRODUCER.c

DIR is a git tree of Linux. Both begin with nothing built, have a compiler cache of their own that is
empty (CCACHE_DIR names one to share), and find the same commit; the plain one has the configuration that
ours makes. `--warm`: the first kernel, which takes both the same minutes, is built before the clock starts.
`--image`: guests of both have the user space of a disk image, which takes its time to start, instead of the
small initramfs that is ours.
The plain script does what people write: make in one tree, then RUNS times boot QEMU, wait for ssh, copy
and run the reproducer, look for a crash on the console; good is a commit where none crashed. A script that
ends the runs of a commit with the first crash takes less: what that one would have taken is told too.
Ours is the command line of the README with the default strategy, `-n 2`.
Prints seconds in all, of testing (all that is not make, git or configuring), and the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pytest_kbisect import programs
from pytest_kbisect.errors import BootError, KernelCrash
from pytest_kbisect.guest import disk, initramfs
from pytest_kbisect.guest.qemu import Machine
from pytest_kbisect.guest.vm import Guest
from pytest_kbisect.kernel import toolchain

OUTPUT = ".obj"
"""The O= folder of the plain tree."""
QEMU_DEFAULT = "pc"
"""The board of a QEMU that is not told another, as a plain script's is not."""


def ours(arguments: argparse.Namespace, work: Path) -> dict[str, float]:
    """Our bisection; the seconds by part."""
    common = [
        *(sys.executable, "-m", "pytest", "-n", "2", f"--kbisect-cache={work / 'cache'}"),
        *(f"--kbisect-kernel={arguments.kernel}", arguments.reproducer),
    ]
    if arguments.image:
        common.append(f"--kbisect-image={arguments.image}")
    log = (work / "ours.log").open("wb")
    if arguments.warm:
        bad = arguments.range.split("..")[1]
        once = [f"--kbisect-commit={bad}", "--kbisect-runs=1"]
        subprocess.run([*common, *once], cwd=work, stdout=log, check=False)
    began = time.monotonic()
    subprocess.run(
        [
            *common,
            *(f"--kbisect-range={arguments.range}", f"--kbisect-dir={work / 'ours'}"),
            *(f"--kbisect-strategy={arguments.strategy}", f"--kbisect-runs={arguments.runs}"),
        ],
        check=True,
        cwd=work,
        stdout=log,
    )
    told = json.loads((work / "ours" / "result.json").read_text())
    assert told["culprit"].startswith(arguments.culprit), told["culprit"]
    seconds = told["seconds"]
    return {
        "all": time.monotonic() - began,
        "testing": seconds["test"],
        "guests": seconds["guests"],
        "revisions": told["revisions_tested"],
    }


def plain(arguments: argparse.Namespace, work: Path) -> dict[str, float]:
    """`git bisect run` in a clone, with this file as its script; the seconds by part."""
    tree = work / "linux"
    subprocess.run(["git", "clone", "-q", "--shared", arguments.kernel, tree], check=True)
    good, bad = arguments.range.split("..")
    (work / "steps.jsonl").touch()
    if arguments.warm:
        subprocess.run(["git", "checkout", "-q", bad], cwd=tree, check=True)
        make(work, tree)
    began = time.monotonic()
    subprocess.run(["git", "bisect", "start", bad, good], cwd=tree, check=True, capture_output=True)
    script = [sys.executable, __file__, "--step", str(work), "--runs", str(arguments.runs)]
    if arguments.image:
        script += ["--image", arguments.image]
    common = ["--kernel", "-", "--range", "-", "--culprit", "-", arguments.reproducer]
    done = subprocess.run(
        ["git", "bisect", "run", *script, *common], cwd=tree, check=True, capture_output=True, text=True
    )
    seconds = time.monotonic() - began
    first = next(line for line in done.stdout.splitlines() if line.endswith("is the first bad commit"))
    assert first.startswith(arguments.culprit), first
    steps = [json.loads(line) for line in (work / "steps.jsonl").read_text().splitlines()]
    testing = sum(step["testing"] for step in steps)
    return {
        "all": seconds,
        "testing": testing,
        "runs": sum(step["runs"] for step in steps),
        "revisions": len(steps),
        "after a crash": sum(step["testing"] - step["decided"] for step in steps),
    }


def make(work: Path, tree: Path) -> bool:
    """Build what the tree has checked out; whether it builds."""
    tools = toolchain.find()
    environment = tools.environment(work / "plain-cache")
    (tree / OUTPUT).mkdir(exist_ok=True)
    (tree / OUTPUT / ".config").write_bytes((work / "config").read_bytes())
    command = ["make", f"-j{os.cpu_count()}", *tools.arguments(OUTPUT)]
    for target in ("olddefconfig", "bzImage"):
        if subprocess.run(
            [*command, target], cwd=tree, env=environment, capture_output=True, check=False
        ).returncode:
            return False
    return True


def step(arguments: argparse.Namespace, work: Path) -> int:
    """One revision of the plain script: git bisect's exit codes."""
    if not make(work, Path.cwd()):
        return 125
    program = programs.compile_static(Path(arguments.reproducer), work / "programs")
    began, verdict, decided = time.monotonic(), 0, 0.0
    user_disk = disk.look_at(Path(arguments.image)) if arguments.image else None
    guest_image = initramfs.build(work / f"image-{os.getpid()}", user_disk)
    for number in range(arguments.runs):
        kernel = Path(OUTPUT, "arch/x86/boot/bzImage")
        machine = Machine(kernel=kernel, initramfs=guest_image.initramfs, disk=user_disk, board=QEMU_DEFAULT)
        with Guest(machine, guest_image, work / f"guest-{os.getpid()}-{number}") as guest:
            try:
                guest.boot()
                guest.run_program(program, may_time_out=True)
                guest.settle()
            except BootError:
                verdict = verdict or 125
            except KernelCrash:
                verdict = 1
        if verdict == 1 and not decided:
            decided = time.monotonic() - began
    seconds = time.monotonic() - began
    with (work / "steps.jsonl").open("a") as steps:
        facts = {"testing": seconds, "decided": decided or seconds, "runs": arguments.runs}
        steps.write(json.dumps(facts) + "\n")
    return verdict


def asking(description: str | None) -> argparse.ArgumentParser:
    """What every benchmark of a whole bisection is told."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reproducer")
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--range", required=True)
    parser.add_argument("--culprit", required=True)
    return parser


def main() -> int:
    parser = asking(__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--strategy", default="bayes")
    parser.add_argument("--warm", action="store_true")
    parser.add_argument("--image")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        return step(arguments, Path(arguments.step))
    arguments.reproducer = str(Path(arguments.reproducer).absolute())
    arguments.kernel = str(Path(arguments.kernel).absolute())
    if arguments.image:
        arguments.image = str(Path(arguments.image).absolute())
    with tempfile.TemporaryDirectory(prefix="whole-", dir=os.environ.get("TMPDIR", "/var/tmp")) as folder:
        work = Path(folder)
        one = ours(arguments, work)
        (work / "config").write_bytes((work / "ours" / "config").read_bytes())
        other = plain(arguments, work)
    print(f"ours:           {json.dumps({name: round(value, 1) for name, value in one.items()})}")
    print(f"git bisect run: {json.dumps({name: round(value, 1) for name, value in other.items()})}")
    for part in ("all", "testing"):
        saved = other[part] - other["after a crash"]
        print(
            f"{part}: {other[part] / one[part]:.1f} x faster, "
            f"{saved / one[part]:.1f} x where a crash ends the runs"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
