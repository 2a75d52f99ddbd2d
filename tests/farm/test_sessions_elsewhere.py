"""Sessions on a cluster: what they find comes back once, whatever happens to workers, scheduler and
driver."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from loopback import LIMIT, Cluster, Driver, alive, until
from miniature import FakeLinux

from pytest_kbisect.errors import HostError
from pytest_kbisect.farm import crew, dispatch

pytest.importorskip("distributed")
pytestmark = pytest.mark.bisection  # not that long, but of processes that take seconds to start

SAYS_WHERE = """
import os
import beside

def test_it():
    print("on", os.environ["KBISECT_HOST"], beside.WORD)
"""
TAKES_LONG = """
import os, subprocess, time

def test_it():
    child = subprocess.Popen(["sleep", "600"])
    with open({file!r}, "a") as file:
        file.write(f"{{os.environ['KBISECT_HOST']}} {{os.getpid()}} {{child.pid}}\\n")
    for _ in range(6000):
        if os.path.exists({go!r}):
            break
        time.sleep(0.1)
    child.kill()
    child.wait()
"""
FAILS = """
import os, pytest

def test_it():
    if os.environ["KBISECT_HOST"] in {hosts!r}:
        print("ERROR: the disk is full")
        pytest.exit("ERROR: the disk is full", returncode=4)
"""


@pytest.fixture
def linux(tmp_path):
    linux = FakeLinux(tmp_path / "linux")
    linux.commit("one", {"lib/one.c": "int one;\n"})
    return linux


@pytest.fixture
def drive(cluster, tmp_path, linux):
    """Makes a driver; both workers are there."""
    for name in ("a", "b"):
        if cluster.workers[name].child.poll() is not None:
            cluster.start(name)
    drivers = []

    def make(text: str, **files: str) -> Driver:
        drivers.append(Driver(cluster, tmp_path, linux, text=text, **files).open())
        return drivers[-1]

    yield make
    for driver in drivers:
        driver.close()


def processes(file: Path) -> tuple[str, int, int]:
    """Host, pytest's process and its child, of the latest session that has begun."""
    until(lambda: file.exists() and file.read_text().endswith("\n"))
    host, *pids = file.read_text().splitlines()[-1].split()
    return host, *map(int, pids)


@pytest.fixture
def long(tmp_path, drive):
    """A driver whose sessions last until `go` exists, and note their processes in `file`."""
    file, go = tmp_path / "processes", tmp_path / "go"
    driver = drive(TAKES_LONG.format(file=str(file), go=str(go)))
    driver.file, driver.go = file, go
    return driver


def test_what_a_session_found_comes_back(drive, cluster):
    driver = drive(SAYS_WHERE, beside="WORD = 'hello'\n")
    running = driver.start("-s", host="b")
    assert running.wait(LIMIT) == 0
    assert "on b hello" in (running.folder / "session.log").read_text()
    assert "<testcase" in (running.folder / "junit.xml").read_text()
    events = [json.loads(line) for line in (running.folder / "events.jsonl").read_text().splitlines()]
    assert events[0]["host"] == "b"
    assert str(cluster.path) not in (running.folder / "junit.xml").read_text()
    # Files, commits and results of the next one: files are not sent again.
    sent = driver.dispatch.staging.sent
    assert driver.start("-s", host="b").wait(LIMIT) == 0
    assert driver.dispatch.staging.sent == sent
    assert not [*cluster.cache("b").glob("run/session-*/session")], "nothing stays behind"


def test_the_second_worker_gets_files_from_the_first(drive):
    """Only what no worker has leaves the driver's machine."""
    driver = drive(SAYS_WHERE, beside=f"WORD = 'hello'\nFILL = '{'x' * 5_000_000}'\n")
    for host in ("a", "b"):
        assert driver.start(host=host).wait(LIMIT) == 0
    assert 5_000_000 < driver.dispatch.staging.sent < 6_000_000


def test_sessions_run_side_by_side(long):
    running = [long.start(), long.start()]
    until(lambda: long.file.exists() and len(long.file.read_text().splitlines()) == 2)
    assert {line.split()[0] for line in long.file.read_text().splitlines()} == {"a", "b"}
    long.go.write_text("")
    assert [one.wait(LIMIT) for one in running] == [0, 0]


def test_a_cancelled_session_leaves_no_process_and_its_slot(long):
    running = long.start(host="a")
    _, pytest_process, child = processes(long.file)
    assert running.wait(0.01) is None
    began = time.monotonic()
    running.cancel()
    until(lambda: not alive(pytest_process) and not alive(child), 10)
    assert time.monotonic() - began < 10
    running.cancel()  # harmless
    with pytest.raises(HostError, match="cancelled"):
        running.wait(1)
    long.go.write_text("")
    assert long.start(host="a").wait(LIMIT) == 0


def test_a_session_of_a_killed_worker_runs_elsewhere(long, cluster):
    running = long.start(host="a")
    _, pytest_process, child = processes(long.file)
    cluster.workers["a"].end(signal.SIGKILL)
    until(lambda: not alive(pytest_process), 10)
    until(lambda: len(long.file.read_text().splitlines()) == 2)
    assert processes(long.file)[0] == "b"
    long.go.write_text("")
    assert running.wait(LIMIT) == 0
    assert long.said("worker a was lost: the session runs elsewhere")
    assert long.dispatch.crew.capacity == 1
    os.kill(child, signal.SIGKILL)  # nobody's child by now: a test's, not a program of ours


def test_a_worker_that_stops_in_order_ends_its_sessions(long, cluster):
    running = long.start(host="b")
    _, pytest_process, child = processes(long.file)
    assert cluster.workers["b"].end(signal.SIGTERM) == 0
    assert not alive(pytest_process)
    assert not alive(child)
    until(lambda: len(long.file.read_text().splitlines()) == 2)
    long.go.write_text("")
    assert running.wait(LIMIT) == 0


def test_a_worker_that_joins_late_is_used(drive, cluster):
    driver = drive(SAYS_WHERE, beside="WORD = ''\n")
    late = cluster.start("late")
    until(lambda: driver.dispatch.crew.capacity == 3)
    assert driver.said("worker late has joined")
    assert driver.start(host="late").wait(LIMIT) == 0
    late.end(signal.SIGTERM)
    until(lambda: driver.dispatch.crew.capacity == 2)
    assert driver.said("worker late has left")


def test_a_host_whose_sessions_fail_is_set_aside(drive):
    driver = drive(FAILS.format(hosts=["a"]))
    running = driver.start("-s", host="a")
    assert running.wait(LIMIT) == 0
    (tried,) = [note for note in driver.notes if "failed on a, it is tried elsewhere: " in note]
    assert "the disk is full" in tried
    assert driver.said("worker a is set aside: a session failed there and not elsewhere")
    assert driver.dispatch.crew.capacity == 1


def test_what_fails_everywhere_is_no_hosts_fault(drive):
    driver = drive(FAILS.format(hosts=["a", "b"]))
    running = driver.start()
    assert running.wait(LIMIT) == 4
    assert "the disk is full" in (running.folder / "session.log").read_text()
    assert driver.dispatch.crew.capacity == 2


def test_a_disk_that_is_full_while_files_arrive(drive, cluster):
    """Played by a folder that is a file."""
    driver = drive(SAYS_WHERE, beside=f"WORD = 'x'\nNEW = {time.time()}\n")
    incoming = cluster.cache("a") / "farm" / "files" / "incoming"
    incoming.rmdir()
    incoming.write_text("")
    try:
        assert driver.start(host="a").wait(LIMIT) == 0
        assert driver.said("worker a is set aside: it cannot take files")
    finally:
        incoming.unlink()
        incoming.mkdir()


def test_a_lost_scheduler(tmp_path, linux, monkeypatch):
    """Sessions end on workers, the driver says what to do, and workers come back to the next scheduler."""
    monkeypatch.setattr(crew, "SILENT", 3.0)
    monkeypatch.setattr(dispatch, "PATIENCE", 10.0)
    (tmp_path / "cluster").mkdir()
    with Cluster(tmp_path / "cluster") as cluster:
        worker = cluster.start("a")
        file, go = tmp_path / "processes", tmp_path / "go"
        driver = Driver(cluster, tmp_path, linux, text=TAKES_LONG.format(file=str(file), go=str(go))).open(1)
        try:
            running = driver.start()
            _, pytest_process, child = processes(file)
            cluster.scheduler.end()
            until(lambda: not alive(pytest_process) and not alive(child), 30)
            worker.until("was lost: all sessions have been ended")
            with pytest.raises(HostError, match=r"Dask scheduler does not answer|no workers"):
                running.wait(LIMIT)
            port = int(cluster.address.rpartition(":")[2])
            cluster.scheduler, _ = cluster.start_scheduler(port)
            until(lambda: worker.text.count("worker a at ") == 2)
        finally:
            driver.close()
