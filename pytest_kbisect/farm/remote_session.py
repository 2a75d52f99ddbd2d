"""One session on a worker: a pytest process of its own, ended as soon as nobody wants its result."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_kbisect import process, variables
from pytest_kbisect.errors import HostError
from pytest_kbisect.farm import returned
from pytest_kbisect.farm.session_files import FOLDER, ROOT
from pytest_kbisect.scratch import scratch_folder
from pytest_kbisect.session import events, session_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_kbisect.farm.farm_worker import FarmWorker

_POLL: Final = 0.2
"""Seconds between two looks at the process, and at whether it is still wanted."""


def run(task: dict[str, Any]) -> dict[str, Any]:
    """Dask's task: run a session on this worker; what the driver learns first.

    `status` is pytest's exit status, `archive` the digest of what the session left, `paths` what its text
    files call the session's folder and the files' folder. `fault` says why the host could not run it; the
    rest is missing then. A session that was cancelled ends without an answer: nobody waits for it.
    """
    from distributed import get_worker

    from pytest_kbisect.farm.farm_worker import FarmWorker

    worker = get_worker()
    if not isinstance(worker, FarmWorker):
        return {"fault": "it was not started by kbisect worker"}
    key = worker.get_current_task()

    def wanted() -> bool:
        known = worker.state.tasks.get(key)
        return known is not None and known.state in {"executing", "long-running"} and not worker.leaving

    try:
        return _run(worker, task, wanted)
    except (OSError, HostError) as error:
        return {"fault": f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)}


def _run(worker: FarmWorker, task: Mapping[str, Any], wanted: Callable[[], bool]) -> dict[str, Any]:
    began = time.monotonic()
    with scratch_folder(worker.cache / "run") as scratch:
        root, folder = scratch / "files", scratch / "session"
        folder.mkdir()

        def here(text: str) -> str:
            return text.replace(ROOT, str(root)).replace(FOLDER, str(folder))

        for name in (task["directory"], *task["folders"]):
            Path(here(name)).mkdir(parents=True, exist_ok=True)
        for path, digest, mode in task["files"]:
            target = Path(os.path.normpath(f"{root}/{path}"))
            if not target.is_relative_to(root):
                raise HostError(
                    f"the driver sent {path!r}, which is no absolute path: update pytest-kbisect there"
                )
            worker.blobs.put(digest, target, mode)
        request = json.loads(here(task["request"]))
        (folder / session_request.FILE).write_text(json.dumps(request), "utf-8")
        command = [sys.executable, "-m", "pytest", *map(here, task["arguments"])]
        command += [
            f"--kbisect-kernel={worker.clone.path(task['object_format'])}",
            f"--kbisect-cache={worker.cache}",
        ]
        if worker.store_size is not None:
            command.append(f"--kbisect-store-size={worker.store_size}")
        if worker.shares and not any(word.startswith("--kbisect-jobs") for word in task["arguments"]):
            command.append(f"--kbisect-jobs={worker.jobs_each}")
        environment = _environment(worker, {name: here(value) for name, value in task["environment"].items()})
        staged = time.monotonic()
        with (folder / returned.LOG).open("wb") as log:
            child = process.start(command, cwd=Path(here(task["directory"])), env=environment, stdout=log)
        try:
            heard = _Heard(folder / events.FILE, worker, task)
            while (status := _status(child)) is None:
                if not wanted():
                    return {"fault": "cancelled"}
                heard.tell()
            heard.tell()
        finally:
            process.kill(child)
        ended = time.monotonic()
        returned.keep_sources(folder)
        fault = returned.failed_on_host(folder / returned.XML)
        archive = scratch / "archive"
        returned.pack(folder, archive)
        size = archive.stat().st_size
        digest = worker.blobs.add(archive)
        return {
            "status": status,
            "archive": digest,
            "bytes": size,
            "paths": [str(folder), str(root)],
            "failed": fault,
            "seconds": {
                "staging": staged - began,
                "session": ended - staged,
                "packing": time.monotonic() - ended,
            },
        }


def _environment(worker: FarmWorker, driver: Mapping[str, str]) -> dict[str, str]:
    """The worker's own, with what the driver passes on."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DASK_"))}
    share = {"PYTEST_XDIST_AUTO_NUM_WORKERS": str(worker.guests_each)} if worker.shares else {}
    ours = {
        variables.SHARED: str(worker.shared),
        variables.HOST: worker.host_name,
        "PYTHONUNBUFFERED": "1",
        **process.bytecode(worker.cache / "bytecode"),
    }
    return {**own, **share, **driver, **ours}


def _status(child: Any) -> int | None:
    import subprocess

    try:
        return int(child.wait(_POLL))
    except subprocess.TimeoutExpired:
        return None


class _Heard:
    """Progress events, passed on to the driver through the scheduler: a few hundred bytes each."""

    def __init__(self, path: Path, worker: FarmWorker, task: Mapping[str, Any]) -> None:
        self._path, self._worker, self._task, self._offset = path, worker, task, 0

    def tell(self) -> None:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        if whole:
            self._offset += len(whole)
            message = {"session": self._task["session"], "events": whole.decode("utf-8", "replace")}
            self._worker.log_event(self._task["topic"], message)
