"""How our reading of crash logs agrees with a corpus of syzkaller's format.

    python tests/benchmarks/crash_corpus.py FOLDER [--names FILE]

FOLDER holds the logs (pkg/report/testdata/linux/report of a syzkaller checkout). Prints agreement by field
and by type, the speed, and every file that is not fully right. `--names`: only the files named there, one a
line (a part held out).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "crash"))
from corpus import Expected, read_case, wrong_fields


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--names", type=Path)
    arguments = parser.parse_args()
    names = set(arguments.names.read_text().split()) if arguments.names else None
    files = [
        path
        for path in sorted(arguments.folder.iterdir())
        if path.is_file() and (names is None or path.name in names)
    ]
    right = Counter[str]()
    by_type: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    first_wrong: dict[str, Counter[str]] = defaultdict(Counter)
    begin = time.process_time()
    for path in files:
        wrong = wrong_fields(path)
        expected, _ = read_case(path)
        kind = expected.type or ("(no type)" if expected.title else "(no crash)")
        by_type[kind][0] += 1
        by_type[kind][1] += not wrong
        for name in vars(Expected()):
            right[name] += all(name != field for field, _, _ in wrong)
        if wrong:
            name, want, got = wrong[0]
            first_wrong[kind][name] += 1
            print(f"{path.name}: {name}: expected {want!r}, got {got!r}")
    seconds = time.process_time() - begin
    print(f"\n{'type':<40} files  right  first wrong field")
    for kind, (count, good) in sorted(by_type.items(), key=lambda item: -item[1][0]):
        print(f"{kind:<40} {count:>5}  {good:>5}  {', '.join(map(str, first_wrong[kind]))}")
    good = sum(row[1] for row in by_type.values())
    size = sum(path.stat().st_size for path in files) / 2**20
    print("\n" + ", ".join(f"{name} {100 * count / len(files):.1f} %" for name, count in right.items()))
    print(
        f"all fields: {good} of {len(files)} = {100 * good / len(files):.1f} %; {size:.1f} MiB in {seconds:.1f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
