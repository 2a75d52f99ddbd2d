"""Whether one driver keeps many workers busy: fake workers, whose sessions take a second and find nothing.

    python tests/benchmarks/cluster_load.py [WORKERS] [ROUNDS]

Everything is real but the sessions themselves and the workers' checks of their host: scheduler, placement,
files, packs, tasks, archives. All workers are in one process of their own. Two sessions for each worker are
under way at a time, one of which waits at the worker. Prints the part of the time that workers were busy,
and what the driver took.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "farm")]

SECONDS = 1.0


def fake_workers(address: str, count: int, folder: Path) -> None:
    """Be so many workers, until killed."""
    import logging

    from distributed import Worker

    from pytest_kbisect.farm import farm_worker, remote_session, returned, worker_facts
    from pytest_kbisect.farm.blobs import Blobs
    from pytest_kbisect.farm.kernel_exchange import KernelExchange
    from pytest_kbisect.farm.packs import Clone

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    facts = worker_facts.constant(folder, sessions=1, clone=None) | {"faults": [], "guests": 1}

    class Fake(farm_worker.FarmWorker):
        def __init__(self, *args, **others):
            self.cache, self.slots, self.leaving, self.constant = folder, 1, False, facts
            self._held = contextlib.ExitStack()
            self.blobs, self.clone = Blobs(folder / others["name"]), Clone(folder, None)
            self.kernels = KernelExchange(folder, self.blobs)
            self.host_name = others["name"]
            given = {"nthreads": 1, "resources": {farm_worker.RESOURCE: 1}, "memory_limit": 0}
            Worker.__init__(self, *args, **others, **given, dashboard_address="127.0.0.1:0")
            names = (
                "offer",
                "lacking",
                "put",
                "get",
                "fetch",
                "drop",
                "commits",
                "take",
                "kernels",
                "add_kernel",
            )
            self.handlers.update({f"kbisect_{name}": getattr(self, f"kbisect_{name}") for name in names})

        async def kbisect_offer(self):
            return {**facts, "clock": time.time(), "memory": 1 << 20, "disk": 1 << 20, "problems": []}

    def session(worker, task, wanted):
        time.sleep(SECONDS)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            (Path(place) / "session").mkdir()
            (Path(place) / "session" / "junit.xml").write_text("<testsuites/>")
            returned.pack(Path(place) / "session", Path(place) / "archive")
            digest = worker.blobs.add(Path(place) / "archive")
        return {
            "status": 0,
            "archive": digest,
            "bytes": 0,
            "paths": ["/a", "/b"],
            "failed": "",
            "seconds": {},
        }

    remote_session._run = session

    async def be() -> None:
        for number in range(count):
            await Fake(address, name=f"fake-{number}", host="127.0.0.1")
        print("ready", flush=True)
        await asyncio.Event().wait()

    asyncio.run(be())


def main(count: int, rounds: int) -> None:
    from loopback import Cluster, Driver, Process
    from miniature import FakeLinux

    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        linux = FakeLinux(path / "linux")
        linux.commit("one", {"lib/one.c": "int one;\n"})
        (path / "cluster").mkdir()
        (path / "fakes").mkdir()
        with Cluster(path / "cluster") as cluster:
            command = [sys.executable, __file__, "--fakes", cluster.address, str(count), str(path / "fakes")]
            cluster.workers["fakes"] = Process(command)
            cluster.workers["fakes"].until("ready")
            driver = Driver(cluster, path, linux, text="def test_it():\n    pass\n").open(count)
            first = [driver.start() for _ in range(count)]  # which brings files and commits
            for running in first:
                assert running.wait(600) == 0
            cpu, began = time.process_time(), time.monotonic()
            left, under_way, done = rounds * count, [], 0
            while left or under_way:
                while left and len(under_way) < 2 * count:
                    under_way.append(driver.start())
                    left -= 1
                ended = [running for running in under_way if running.wait(0) is not None]
                done += len(ended)
                under_way = [running for running in under_way if running not in ended]
                time.sleep(0.02)
            wall = time.monotonic() - began
            used = time.process_time() - cpu
            driver.close()
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{count} workers, {done} sessions of {SECONDS:g} s in {wall:.1f} s")
            print(
                f"busy {done * SECONDS / (count * wall):.1%}; driver {used / wall:.2f} cores, {memory:.0f} MiB"
            )
            print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--fakes"]:
        fake_workers(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 200, int(sys.argv[2]) if len(sys.argv) > 2 else 20)
