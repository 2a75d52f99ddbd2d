"""The executor `dask`: each session is a task on a worker of a Dask cluster."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import uuid
from typing import TYPE_CHECKING, Any, Final

from pytest_kbisect import options
from pytest_kbisect.bisection.executor import Executor, RunningSession, SessionCommand, Workload
from pytest_kbisect.errors import HostError, KbisectError, UsageError
from pytest_kbisect.farm import clusters
from pytest_kbisect.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Coroutine

    import pytest

    from pytest_kbisect.farm.dispatch import Dispatch

FIRST: Final = 15.0
"""Seconds to wait for the first worker; workers that this process starts take longer."""
_STARTED: Final = 60.0


class DaskExecutor(Executor):
    """Runs sessions on the workers of `--kbisect-scheduler`."""

    name = "dask"

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._held = contextlib.ExitStack()
        self._dispatch: Dispatch | None = None

    @property
    def capacity(self) -> int | None:  # type: ignore[override]
        """Sessions at a time, on the workers that are there now."""
        return self._dispatch.crew.capacity if self._dispatch else None

    @property
    def compiler(self) -> str:  # type: ignore[override]
        """The compiler of this range."""
        return self._dispatch.crew.compiler if self._dispatch else ""

    def open(self, workload: Workload) -> None:
        """Connect, and see which workers take part. Raises HostError or UsageError."""
        address: str | None = options.value(self._config, "scheduler")
        if address is None:
            raise UsageError(
                "--kbisect-executor=dask needs a cluster: add --kbisect-scheduler ADDRESS, or local:2"
            )
        if options.value(self._config, "prebuilt"):
            raise UsageError(
                "--kbisect-prebuilt and --kbisect-scheduler exclude each other: packages are read on this machine; remove"
                " --kbisect-scheduler"
            )
        clusters.require_distributed()
        from pytest_kbisect.farm.dispatch import Dispatch
        from pytest_kbisect.farm.session_files import SessionFiles
        from pytest_kbisect.kernel import toolchain

        cache = options.cache_folder(self._config)
        files = SessionFiles(workload.files)
        architecture = options.architecture(self._config)
        scratch = self._held.enter_context(scratch_folder(cache / "run"))
        client = clusters.connect(address, self._held, cache, workload.note)
        own = toolchain.find(architecture).identity
        self._dispatch = Dispatch(client, workload, files, scratch, architecture.name, own)
        started = clusters.count(address)
        self._dispatch.call(self._dispatch.open(_STARTED if started else FIRST, started or 1))
        names = ", ".join(worker.name for worker in self._dispatch.crew.workers.values() if worker.takes_part)
        workload.note(f"sessions run on {names} ({client.dashboard_link or address})")

    def close(self) -> None:
        """End all sessions, and what this process has started."""
        dispatch, self._dispatch = self._dispatch, None
        with contextlib.suppress(OSError, KbisectError):
            if dispatch is not None:
                dispatch.call(dispatch.close())
        self._held.close()

    def start(self, session: SessionCommand) -> RunningSession:
        """Have a session run on some worker."""
        if self._dispatch is None:
            raise HostError("the executor dask is not connected: run open() first")
        return _RunningElsewhere(self._dispatch, session)

    def fetch_kernel(self, commit: str, signature: str) -> None:
        """Get the kernel that crashed from the worker that has it. Raises HostError if none has."""
        if self._dispatch is not None and signature:
            cache = options.cache_folder(self._config)
            self._dispatch.call(self._dispatch.fetch_kernel(commit, signature, cache))


class _RunningElsewhere(RunningSession):
    """A session on its way, on a worker, or on its way back."""

    def __init__(self, dispatch: Dispatch, session: SessionCommand) -> None:
        self._dispatch = dispatch
        self._ended = threading.Event()
        self._status: int | None = None
        self._error: BaseException | None = None
        self._task = dispatch.begin(self._follow(dispatch.run(uuid.uuid4().hex, session)))

    async def _follow(self, running: Coroutine[Any, Any, int]) -> None:
        try:
            self._status = await running
        except asyncio.CancelledError:
            self._error = HostError("the session was cancelled: give the same command again")
            raise
        except BaseException as error:  # noqa: BLE001 - raised where somebody waits
            self._error = error
        finally:
            self._ended.set()

    def wait(self, seconds: float) -> int | None:
        if not self._ended.wait(seconds):
            return None
        if self._error is not None:
            raise self._error
        return self._status

    def cancel(self) -> None:
        self._task.cancel()
        with contextlib.suppress(BaseException):
            self._task.result(10)
        self._ended.wait(10)
