"""Bisect planted bugs with a whole configuration and with a minimized one, and say what each took.

    python tests/benchmarks/minimize.py CONFIG [--bug NAME ...] [--how whole|small ...] [--cache DIR] [options
    of pytest...]

CONFIG is a whole .config, such as x86_64_defconfig with KASAN, lockdep, UBSAN and KCOV: `--show-config`
prints the fragment to merge. The bugs are those of planted_bugs.py: one file each, so that one whole build
serves all of them as long as its O= folder is kept (--cache). Everything is built and run for real: hours on
a small machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from linux_commits import Linux, clone_of_demo
from planted_bugs import CULPRIT, PLANTED, make

from pytest_kbisect.options import default_cache

FRAGMENT = """\
KASAN KASAN_VMALLOC PROVE_LOCKING DEBUG_ATOMIC_SLEEP UBSAN UBSAN_BOUNDS UBSAN_SHIFT KCOV KCOV_INSTRUMENT_ALL
DEBUG_FS DEBUG_KMEMLEAK DEBUG_LIST DEBUG_OBJECTS DEBUG_VM FAULT_INJECTION FAILSLAB FAULT_INJECTION_DEBUG_FS
DETECT_HUNG_TASK TUN VIRTIO_NET VIRTIO_PCI HW_RANDOM_VIRTIO N_HDLC USERFAULTFD DEBUG_INFO_NONE
"""
HOW = {"whole": ["--kbisect-keep-config"], "small": ["--kbisect-minimize-config"]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("config", type=Path, nargs="?")
    parser.add_argument("--show-config", action="store_true")
    parser.add_argument("--bug", action="append", choices=[bug.name for bug in PLANTED])
    parser.add_argument("--how", action="append", choices=HOW)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--tree", type=Path, help="the clone to plant in; made if need be")
    told, more = parser.parse_known_args()
    if told.show_config:
        print("".join(f"CONFIG_{symbol}=y\n" for symbol in FRAGMENT.split()), end="")
        return 0
    if told.config is None:
        parser.error("name a whole .config")
    cache = told.cache or default_cache()
    linux = clone_of_demo(default_cache())
    if told.tree:
        linux = Linux(told.tree.absolute(), linux.demo)
    folder = told.folder or Path(tempfile.mkdtemp(prefix="minimize-"))
    folder.mkdir(parents=True, exist_ok=True)
    for bug in PLANTED:
        if told.bug and bug.name not in told.bug:
            continue
        line = make(linux, bug)
        reproducer = folder / f"kbx_{bug.name}.c"
        reproducer.write_text(bug.reproducer)
        for how in told.how or HOW:
            result = folder / f"{bug.name}-{how}"
            started = time.monotonic()
            command = [
                *(sys.executable, "-m", "pytest", str(reproducer), f"--kbisect-kernel={linux.path}"),
                *(f"--kbisect-range={line[0]}..{line[-1]}", f"--kbisect-dir={result}", *HOW[how]),
                *(f"--kbisect-config={told.config.absolute()}", f"--kbisect-cache={cache.absolute()}", *more),
            ]
            done = subprocess.run(command, cwd=folder, check=False)
            minutes = (time.monotonic() - started) / 60
            print(f"{bug.name} {how}: exit {done.returncode}, {minutes:.1f} minutes")
            if (result / "result.json").exists():
                _tell(result, line)
    return 0


def _tell(result: Path, line: list[str]) -> None:
    """The answer, and the minutes of each build."""
    answer = json.loads((result / "result.json").read_text())
    position = {sha: number - 1 for number, sha in enumerate(line)}
    found = position.get(answer["culprit"])
    print(f"  {answer['kind']}, found {found} (right: {CULPRIT}), confidence {answer['confidence']:.3f}")
    for record in _experiments(result):
        tested = record["tested"]
        by = {part: round(seconds / 60, 2) for part, seconds in tested["seconds_by"].items() if seconds >= 1}
        print(
            f"  {record.get('phase', 'search')} {position.get(tested['commit'], '?')}: build "
            f"{tested['build_seconds'] / 60:.2f}, test {tested['test_seconds'] / 60:.2f} minutes ({by})"
        )


def _experiments(result: Path) -> list[dict[str, Any]]:
    lines = map(json.loads, (result / "journal.jsonl").read_text().splitlines())
    return [record for record in lines if record.get("kind") == "tested"]


if __name__ == "__main__":
    sys.exit(main())
