"""What a session on a cluster takes more than one on this machine, and how many bytes travel.

    python tests/benchmarks/cluster_overhead.py [PAIRS]

Sessions of one test without a kernel, by turns here and on a worker of this machine, so that whatever else
runs slows both alike. Prints the medians of PAIRS pairs (default: 10) in seconds, and bytes per session.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "farm")]

from loopback import Cluster, Driver  # noqa: E402
from miniature import FakeLinux  # noqa: E402

from pytest_kbisect.bisection.executor import RunningSession  # noqa: E402

TEST = "def test_it():\n    pass\n"


def _end(running: RunningSession) -> None:
    status = running.wait(600)
    assert status == 0, status


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        linux = FakeLinux(path / "linux")
        linux.commit("one", {"lib/one.c": "int one;\n"})
        (path / "cluster").mkdir()
        with Cluster(path / "cluster") as cluster:
            cluster.start("a")
            driver = Driver(cluster, path, linux, text=TEST).open(1)
            staging = driver.dispatch.staging
            _end(driver.start())
            print(f"first session: {staging.sent} bytes sent, {staging.received} received")
            here, there = [], []
            before = staging.sent, staging.received
            for _ in range(pairs):
                began = time.monotonic()
                _end(driver.start(f"--kbisect-kernel={linux.path}", local=True))
                here.append(time.monotonic() - began)
                began = time.monotonic()
                _end(driver.start())
                there.append(time.monotonic() - began)
            driver.close()
            sent, received = staging.sent - before[0], staging.received - before[1]
            print(f"later sessions: {sent / pairs:.0f} bytes sent, {received / pairs:.0f} received, each")
            print(f"here {median(here):.2f} s, on a worker {median(there):.2f} s")
            print(
                f"overhead {median(b - a for a, b in zip(here, there, strict=True)):.2f} s (median of pairs)"
            )


if __name__ == "__main__":
    main()
