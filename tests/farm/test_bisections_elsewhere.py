"""Whole bisections on clusters: the same answer as on this machine, however drivers and workers end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter

import pytest
from certificates import environment
from loopback import Cluster, alive, until
from played_guests import TITLE
from whole import HERE, Place

from pytest_kbisect.errors import ExitCode

pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.bisection,
    pytest.mark.skipif(
        not all(map(shutil.which, ("qemu-system-x86_64", "gcc", "perl"))),
        reason="this host builds no kernels",
    ),
]


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    place.grow(3, "before")
    place.culprit = place.play("The culprit", "crash")
    place.grow(3, "after")
    return place


def test_the_same_answer_as_here(place):
    """Two workers that this command starts, and ends."""
    done = place.bisect("--kbisect-scheduler=local:2", "--kbisect-confidence=0.9")
    assert done.code == ExitCode.FOUND, done.out + done.err
    told = place.result()
    assert (told["culprit"], told["crash"]) == (place.culprit, TITLE)
    assert told["confirmation"]["revert"] == "passed"
    assert told["confirmation"]["hosts"], "culprit and parent were tested on one host"
    assert set(told["hosts"]) <= {"local-1", "local-2"}
    assert sum(facts["sessions"] for facts in told["hosts"].values()) == len(
        [record for record in place.journal() if record["kind"] == "tested"]
    )
    assert "# on local-1" in done.out
    assert "sessions run on local-1, local-2" in done.out
    assert "Host</dt><dd>local-" in (place.path / "result" / "report.html").read_text()
    # Everything that reports need came back: consoles, the crashed kernel, its configuration.
    folder = place.path / "result"
    assert not [note for note in done.notes if "was not" in note], done.notes
    assert (folder / "repeat" / "bzImage").exists() or list((folder / "repeat").iterdir())
    assert list(folder.glob("sessions/*/runs/*/console.log"))
    assert not list((place.path / "cache" / "run").glob("session-*"))


def driver(place, address):
    """A bisection in a process of its own, as place.bisect() starts it."""
    command = [sys.executable, "-m", "pytest", "-p", "played_guests", f"--kbisect-kernel={place.linux.path}"]
    command += [f"--kbisect-cache={place.path / 'cache'}", f"--kbisect-range={place.linux.base}..HEAD"]
    command += ["--kbisect-dir=result", f"--kbisect-scheduler={address}", "crash.sh"]
    own = {
        "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent}",
        "PYTEST_ADDOPTS": "-p no:hypothesispytest -p no:cacheprovider --assert=plain",
        "GIT_CONFIG_GLOBAL": "/dev/null",
    }
    return subprocess.Popen(command, cwd=place.path, env={**os.environ, **own}, stdout=subprocess.DEVNULL)


def processes_that_name(text: str) -> list[int]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if text.encode() in file.read() and alive(int(pid)):
                    found.append(int(pid))
        except OSError:
            continue
    return found


def test_a_killed_driver_leaves_nothing_on_workers_and_goes_on_later(tmp_path):
    (tmp_path / "place").mkdir()
    place = Place(tmp_path / "place")
    go = tmp_path / "go"
    place.linux.commit("slow", {"scripts/slowly.sh": f"while [ ! -e {go} ]; do sleep 0.1; done\n"})
    place.linux.base = place.linux.git("rev-parse", "HEAD")
    place.grow(1, "before")
    culprit = place.play("The culprit", "crash")
    place.grow(1, "after")
    with Cluster(tmp_path) as cluster:
        cluster.start("a")
        cluster.start("b")
        running = driver(place, cluster.address)
        until(lambda: processes_that_name("scripts/slowly.sh"))
        running.send_signal(signal.SIGKILL)
        running.wait()
        until(lambda: not processes_that_name("scripts/slowly.sh"), 30)
        until(lambda: not processes_that_name(str(cluster.cache("a") / "run")), 30)
        until(lambda: not processes_that_name(str(cluster.cache("b") / "run")), 30)
        go.write_text("")
        done = place.bisect(f"--kbisect-scheduler={cluster.address}")
        assert done.code == ExitCode.FOUND, done.out + done.err
        assert place.result()["culprit"] == culprit
        for name in "ab":
            cluster.workers[name].end(signal.SIGTERM)
            assert not [
                *cluster.cache(name).glob("kernels/incoming/*"),
                *cluster.cache(name).glob("run/session-*"),
            ]


def test_over_tls(place, tmp_path, monkeypatch):
    """Certificates as Dask has them; whoever has none is refused."""
    for name, value in environment(tmp_path / "certificates").items():
        monkeypatch.setenv(name, value)
    (tmp_path / "cluster").mkdir()
    with Cluster(tmp_path / "cluster", "tls") as cluster:
        assert cluster.address.startswith("tls://")
        cluster.start("a")
        done = place.bisect(f"--kbisect-scheduler={cluster.address}")
        assert done.code == ExitCode.FOUND, done.out + done.err
        assert place.result()["culprit"] == place.culprit
        assert Counter(
            record["tested"]["host"] for record in place.journal() if record["kind"] == "tested"
        ).keys() == {"a"}
        for name in environment(tmp_path / "certificates"):
            monkeypatch.delenv(name)
        refused = place.bisect(f"--kbisect-scheduler={cluster.address}", to="refused")
        assert refused.code == ExitCode.USAGE
        assert "needs certificates" in refused.err
        plain = place.bisect(f"--kbisect-scheduler={cluster.address.replace('tls', 'tcp')}", to="plain")
        assert plain.code == ExitCode.USAGE
        assert "no Dask scheduler answers at tcp://" in plain.err
        assert "Traceback" not in plain.err


@pytest.mark.parametrize("words", [["--kbisect-executor=dask"], ["--kbisect-scheduler=cluster"]])
def test_what_a_bisection_refuses(place, words):
    done = place.bisect(*words)
    assert done.code == ExitCode.USAGE
    assert "Traceback" not in done.err
    assert "add --kbisect-scheduler ADDRESS" in done.err or "must be tcp://HOST:PORT" in done.err
