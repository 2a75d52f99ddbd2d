"""A Dask cluster on loopback, in processes that a test can kill."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect.bisection.executor import LocalExecutor, SessionCommand, Workload
from pytest_kbisect.farm.session_files import SessionFiles
from pytest_kbisect.kernel import toolchain
from pytest_kbisect.kernel.tree import LinuxTree
from pytest_kbisect.session.session_request import FILE, SessionRequest

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 300.0
"""Seconds that anything may take on a busy machine."""


def until(true: Callable[[], object], seconds: float = LIMIT) -> float:
    """Wait; the seconds that it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "waited in vain"
        time.sleep(0.05)
    return time.monotonic() - began


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Process:
    """A program whose output is read while it runs."""

    def __init__(self, command: list[str], **environment: str) -> None:
        env = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
        self.child = subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.text = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.child.stdout:
            self.text += line

    def until(self, words: str) -> None:
        until(lambda: words in self.text or self.child.poll() is not None)
        assert words in self.text, self.text

    def end(self, sig: int = signal.SIGKILL) -> int:
        self.child.send_signal(sig)
        status = self.child.wait(LIMIT)
        self._reader.join(LIMIT)
        self.child.stdout.close()
        return status


class Cluster:
    """A scheduler, and workers by name, each with a cache folder of its own."""

    def __init__(self, path: Path, protocol: str = "tcp") -> None:
        self.path = path
        self.protocol = protocol
        self.workers: dict[str, Process] = {}

    def __enter__(self):
        self.scheduler, self.address = self.start_scheduler()
        return self

    def __exit__(self, *_):
        for process in (*self.workers.values(), self.scheduler):
            if process.child.poll() is None:
                process.end()

    def start_scheduler(self, port: int = 0):
        file = self.path / "scheduler.json"
        file.unlink(missing_ok=True)
        words = ["--host", f"{self.protocol}://127.0.0.1:{port}", "--dashboard-address", "127.0.0.1:0"]
        command = [sys.executable, "-m", "distributed.cli.dask_scheduler", *words]
        process = Process([*command, "--scheduler-file", str(file)])

        def written():
            with contextlib.suppress(OSError, ValueError):
                return json.loads(file.read_text())["address"]

        until(lambda: written() or process.child.poll() is not None)
        return process, written()

    def cache(self, name: str) -> Path:
        return self.path / f"cache-{name}"

    def start(self, name: str, *words: str, wait: str | None = None, **environment: str) -> Process:
        command = [sys.executable, "-m", "pytest_kbisect.commands", "worker", self.address]
        command += ["--kbisect-cache", str(self.cache(name)), "--name", name, *words]
        process = self.workers[name] = Process(command, **environment)
        process.until(f"worker {name} at " if wait is None else wait)
        return process


class Driver:
    """The driver's side of a cluster, for sessions without a kernel."""

    def __init__(self, cluster: Cluster, path: Path, linux, *, text: str, **files: str) -> None:
        """A test file with this text, and further files beside it."""
        from distributed import Client

        from pytest_kbisect.farm.dispatch import Dispatch

        self.path = path
        self.linux = linux
        (path / "test_it.py").write_text(text)
        for name, content in files.items():
            (path / f"{name}.py").write_text(content)
        self.notes: list[str] = []
        self.tree = LinuxTree(linux.path, path / "cache")
        paths = [path / "test_it.py", *(path / f"{name}.py" for name in files)]
        self.workload = Workload(
            tree=self.tree,
            commits=(linux.git("rev-parse", "HEAD"), linux.base),
            files=tuple(paths),
            rootdir=path,
            inifile=None,
            compiler="",
            note=self.notes.append,
        )
        (path / "scratch").mkdir()
        self.client = Client(cluster.address, set_as_default=False, direct_to_workers=True)
        own = toolchain.find().identity
        self.dispatch = Dispatch(
            self.client, self.workload, SessionFiles(paths), path / "scratch", "x86_64", own
        )
        self.number = 0

    def open(self, count: int = 2):
        self.dispatch.call(self.dispatch.open(LIMIT, count))
        return self

    def close(self) -> None:
        self.dispatch.call(self.dispatch.close())
        self.client.close()

    def start(self, *words: str, host: str = "", commit: str = "", local: bool = False):
        """Begin a session, on a worker or (`local`) here; its folder is `folder` of the answer."""
        from pytest_kbisect.farm.dask_executor import _RunningElsewhere

        self.number += 1
        folder = self.path / f"session-{self.number}"
        folder.mkdir()
        commit = commit or self.linux.base
        arguments = ("test_it.py", "-p", "no:cacheprovider", f"--kbisect-commit={commit}", *words)
        SessionRequest(arguments=arguments, directory=str(self.path), folder=str(folder)).write(folder / FILE)
        command = (sys.executable, "-m", "pytest", *arguments, f"--junitxml={folder}/junit.xml")
        session = SessionCommand(
            (*command, f"--kbisect-request={folder / FILE}"),
            self.path,
            {"PYTEST_ADDOPTS": "-p no:hypothesispytest --assert=plain"},
            folder=folder,
            log=folder / "session.log",
            commit=commit,
            title="A title",
            host=host,
        )
        if local:
            environment = {**os.environ, **session.environment}
            return LocalExecutor().start(replace(session, environment=environment))
        running = _RunningElsewhere(self.dispatch, session)
        running.folder = folder
        return running

    def said(self, words: str) -> bool:
        return any(words in note for note in self.notes)
