"""`kbisect worker` and `kbisect doctor --kbisect-scheduler`: what they refuse and what they say."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from loopback import Cluster

from pytest_kbisect.errors import ExitCode

pytest.importorskip("distributed")


def kbisect(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest_kbisect.commands", *words], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nonsense"], "nonsense is no address of a scheduler: give tcp://HOST:PORT or tls://HOST:PORT"),
        (
            ["tcp://10.0.0.1:8786"],
            "drivers could not reach this worker, because it listens on loopback only: add --listen",
        ),
        (["tcp://127.0.0.1:1", "--guests", "0"], "--guests: 0 cannot be used: give a number from 1 on"),
    ],
)
def test_what_a_worker_refuses(words, message):
    done = kbisect("worker", *words)
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.startswith(f"kbisect: {message}")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "host:8786",
            "--kbisect-scheduler: 'host:8786' cannot be used: must be tcp://HOST:PORT, tls://HOST:PORT",
        ),
        ("local:0", "--kbisect-scheduler: 'local:0' cannot be used: must be tcp://HOST:PORT"),
        ("tls://127.0.0.1:1", "tls://127.0.0.1:1 needs certificates: set ca-file, client.cert"),
    ],
)
def test_addresses_that_cannot_be_used(address, message):
    done = kbisect("doctor", "--kbisect-scheduler", address)
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.startswith(f"kbisect: {message}")
    assert "Traceback" not in done.stderr


def test_nobody_answers(monkeypatch, tmp_path, capsys):
    from pytest_kbisect import commands
    from pytest_kbisect.farm import clusters

    monkeypatch.setattr(clusters, "CONNECT", 1.0)
    words = ["doctor", "--kbisect-scheduler", "tcp://127.0.0.1:1", "--kbisect-cache", str(tmp_path)]
    assert commands.main(words) == ExitCode.USAGE
    assert "no Dask scheduler answers at tcp://127.0.0.1:1 (" in capsys.readouterr().err


OTHER_VERSION = """
import pytest_kbisect
pytest_kbisect.__version__ = "0.0.9"
"""
OTHER_COMPILER = """#!/bin/sh
case $1 in --version) echo "gcc (elsewhere) 4.9.0" ;; *) exec {gcc} "$@" ;; esac
"""


@pytest.mark.bisection
def test_all_workers_and_what_each_lacks(tmp_path, monkeypatch):
    """Versions, compilers, a cache that cannot be written, and a worker that is none of ours."""
    import os
    import shutil

    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "sitecustomize.py").write_text(OTHER_VERSION)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gcc").write_text(OTHER_COMPILER.format(gcc=shutil.which("gcc")))
    (tmp_path / "bin" / "gcc").chmod(0o755)
    (tmp_path / "file").write_text("")
    with Cluster(tmp_path) as cluster:
        none = kbisect("doctor", "--kbisect-scheduler", cluster.address)
        assert none.returncode == ExitCode.USAGE
        assert "The scheduler has no workers: start some with kbisect worker ADDRESS." in none.stdout
        cluster.start("good")
        cluster.start("old", PYTHONPATH=str(tmp_path / "old"))
        cluster.start("compiler", PATH=f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
        plain = [
            sys.executable,
            "-m",
            "distributed.cli.dask_worker",
            cluster.address,
            "--name",
            "plain",
            "--no-nanny",
        ]
        from loopback import Process, until

        cluster.workers["plain"] = Process(
            [*plain, "--no-dashboard", "--local-directory", str(tmp_path / "dask")]
        )
        until(lambda: "plain" in kbisect("doctor", "--kbisect-scheduler", cluster.address).stdout)
        done = kbisect("doctor", "--kbisect-scheduler", cluster.address, "--json")
        assert done.returncode == ExitCode.FOUND, done.stderr
        found = {one["name"]: one for one in json.loads(done.stdout)["workers"]}
        assert {name: one["takes_part"] for name, one in found.items()} == {
            "good": True,
            "old": False,
            "compiler": False,
            "plain": False,
        }
        assert found["old"]["lacks"] == ["pytest-kbisect 0.0.9 there, 0.1.0 here: install the same version"]
        assert found["compiler"]["lacks"][0].startswith("its compiler is gcc (elsewhere) 4.9.0")
        assert found["plain"]["lacks"][0].startswith("it was not started by kbisect worker")
        text = kbisect("doctor", "--kbisect-scheduler", cluster.address).stdout
        assert "1 of 4 workers can take part." in text
