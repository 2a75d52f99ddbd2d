"""Sessions from the driver's side: placed, prepared, started, followed, fetched; and again elsewhere if
need be.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pytest_kbisect.errors import ExitCode, HostError
from pytest_kbisect.farm import returned, session_files
from pytest_kbisect.farm.blobs import Blobs
from pytest_kbisect.farm.crew import Crew
from pytest_kbisect.farm.kernel_exchange import KernelExchange
from pytest_kbisect.farm.placement import Worker, place
from pytest_kbisect.farm.staging import LONG, Staging, WorkerFaultError
from pytest_kbisect.reports.text import one_line
from pytest_kbisect.session import events, session_request

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Coroutine, Sequence
    from pathlib import Path

    from distributed import Client

    from pytest_kbisect.bisection.executor import SessionCommand, Workload
    from pytest_kbisect.farm.session_files import SessionFiles

_T = TypeVar("_T")

_POLL: Final = 0.05
"""Seconds between two looks at a task."""
PATIENCE: Final = 120.0
"""Seconds to wait for a worker when all have left."""
_TIMES: Final = 5
"""Workers that a session may lose before that is taken for its own fault."""
_TITLE: Final = 60
"""Characters of a commit's title in a task's name."""
_ANSWERS: Final = (ExitCode.FOUND, ExitCode.FAILED, ExitCode.INTERRUPTED, ExitCode.NOTHING_COLLECTED)
"""Exit statuses of sessions that had no trouble with their host."""


class _LostError(Exception):
    """The worker of a session is gone."""


class Dispatch:
    """All sessions of a bisection. Its coroutines run in the client's loop; `call` and `begin` bring them
    there.
    """

    def __init__(
        self,
        client: Client,
        workload: Workload,
        files: SessionFiles,
        scratch: Path,
        architecture: str,
        own: str,
    ) -> None:
        """`own` is this machine's compiler."""
        self._client = client
        self._workload = workload
        self._files = files
        self._scratch = scratch
        self._topic = f"kbisect-{client.id}"
        self._folders: dict[str, Path] = {}
        self._watching: concurrent.futures.Future[None] | None = None
        self.crew = Crew(client, architecture, compiler=workload.compiler, own=own, note=workload.note)
        self.staging = Staging(
            client, files, workload.tree, workload.commits, scratch, self.crew.workers.__contains__
        )

    # -- from other threads --------------------------------------------------------------------------------

    def call(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine in the client's loop, and wait for it."""
        return self.begin(coroutine).result()

    def begin(self, coroutine: Coroutine[Any, Any, _T]) -> concurrent.futures.Future[_T]:
        """Run a coroutine in the client's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._client.loop.asyncio_loop)

    async def open(self, seconds: float, count: int) -> None:
        """See who takes part: `count` workers, or those that are there after so many seconds.

        Raises HostError if nobody does.
        """
        await self.crew.open(seconds, count)
        self._client.subscribe_topic(self._topic, self._hear)
        self._watching = self.begin(self.crew.watch())

    async def close(self) -> None:
        """Look at the workers no more."""
        if self._watching is not None:
            self._watching.cancel()
        await asyncio.sleep(0)

    # -- one session -----------------------------------------------------------------------------------------

    async def run(self, name: str, session: SessionCommand) -> int:
        """Run a session, on another worker if its first one fails it; pytest's exit status.

        A failure that a second worker shows, too, is the session's own. Raises HostError if no worker is
        left.
        """
        task = self._task(name, session)
        failed: dict[str, Worker] = {}
        lost = 0
        while True:
            worker = await self._place(session, frozenset(failed))
            self.crew.names.add(name)
            worker.running.add(name)
            began = time.monotonic()
            try:
                answer = await self._attempt(worker, name, session, task)
            except _LostError:
                lost += 1
                self._workload.note(
                    f"{session.commit[:12]}: worker {worker.name} was lost: the session runs elsewhere"
                )
                if lost >= _TIMES:
                    raise HostError(
                        f"{lost} workers were lost during the session at {session.commit[:12]}: does it need more"
                        " memory than they have? Lower -n or --kbisect-memory, then give the same command again"
                    ) from None
                continue
            except (HostError, OSError) as error:
                if worker.address in self.crew.workers:
                    self._fail(worker, one_line(str(error)) or "it does not answer")
                continue
            finally:
                worker.running.discard(name)
            if fault := answer.get("fault"):
                self._fail(worker, fault)
                continue
            why = answer["failed"]
            if answer["status"] not in _ANSWERS:
                why = why or self._complaint(session)
            if why and not failed and self._others(worker):
                worker.failures += 1
                failed[worker.name] = worker
                self._workload.note(
                    f"{session.commit[:12]} failed on {worker.name}, it is tried elsewhere: {one_line(why)}"
                )
                continue
            if failed and not why:
                for one in failed.values():
                    self.crew.set_aside(one, "a session failed there and not elsewhere")
            worker.tested(session.commit)
            worker.seconds.append(time.monotonic() - began)
            return int(answer["status"])

    def _task(self, name: str, session: SessionCommand) -> dict[str, Any]:
        task = session_files.task(
            self._files,
            session.command,
            session.folder / session_request.FILE,
            directory=session.directory,
            folder=session.folder,
            environment=session.environment,
            rootdir=self._workload.rootdir,
            inifile=self._workload.inifile,
        )
        own = {"session": name, "topic": self._topic, "object_format": self._workload.tree.object_format}
        return {**task, **own}

    async def _place(self, session: SessionCommand, avoid: frozenset[str]) -> Worker:
        """A worker for a session; waits a while for one if all have left. Raises HostError."""
        deadline = time.monotonic() + PATIENCE
        while True:
            if self.crew.lost:
                raise HostError(
                    "the Dask scheduler does not answer any more: start it again, then give the same command again"
                )
            found = place(
                self.crew.workers,
                session.commit,
                host=session.host,
                avoid=avoid,
                nearest=self._nearest,
            )
            if found is not None:
                return found
            if time.monotonic() > deadline or any(worker.aside for worker in self.crew.workers.values()):
                raise self.crew.nobody()
            await asyncio.sleep(0.5)

    def _nearest(self, commit: str, others: Sequence[str]) -> Sequence[str]:
        return self._workload.tree.nearest(commit, others, len(others))

    def _others(self, worker: Worker) -> bool:
        return any(one is not worker and one.takes_part for one in self.crew.workers.values())

    def _fail(self, worker: Worker, why: str) -> None:
        worker.failures += 1
        self.crew.set_aside(worker, why)

    async def _attempt(
        self, worker: Worker, name: str, session: SessionCommand, task: dict[str, Any]
    ) -> dict[str, Any]:
        """One attempt on one worker. Raises _LostError, WorkerFaultError or OSError."""
        try:
            await self.staging.prepare(worker, session.commit, list(self.crew.workers.values()))
        except OSError:
            await self.crew.look()
            if worker.address not in self.crew.workers:
                raise _LostError from None
            raise
        heard = session.folder / events.FILE
        self._say(heard, worker, session)
        before = heard.read_bytes()
        self._folders[name] = session.folder
        try:
            answer = await self._submit(worker, name, session, task)
        finally:
            self._folders.pop(name, None)
        if "archive" not in answer:
            return answer
        archive = self._scratch / name
        try:
            await self.staging.fetch(worker.address, answer["archive"], archive)
            shutil.rmtree(session.folder / "runs", ignore_errors=True)
            renamed = dict(zip(answer["paths"], (str(session.folder), ""), strict=True))
            await asyncio.to_thread(returned.unpack, archive, session.folder, renamed)
            # Whatever was heard meanwhile is in there again.
            heard.write_bytes(
                before + heard.read_bytes() if (session.folder / events.FILE).exists() else before
            )
        except OSError:
            raise _LostError from None
        finally:
            archive.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            await self.staging.ask(worker.address, "drop", digest=answer["archive"])
        return answer

    async def _submit(
        self, worker: Worker, name: str, session: SessionCommand, task: dict[str, Any]
    ) -> dict[str, Any]:
        """Run the task on its worker, and wait. A cancelled wait cancels the task; a lost worker raises
        _LostError.
        """
        from pytest_kbisect.farm.remote_session import run

        future = self._client.submit(
            run,
            task,
            key=f"{session.commit[:12]} {one_line(session.title)[:_TITLE]}-{name}",
            workers=[worker.address],
            allow_other_workers=False,
            resources={session_files.RESOURCE: worker.share},
            retries=0,
            pure=False,
        )
        try:
            while future.status == "pending":
                await asyncio.sleep(_POLL)
                if worker.address not in self.crew.workers:
                    raise _LostError
            if (
                future.status != "finished"
            ):  # cancelled because the scheduler was lost, or the worker died in it
                raise _LostError
            try:
                return dict(await self._client.gather(future))
            except (OSError, KeyError, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and future.status != "cancelled":
                    raise
                raise _LostError from None
        finally:
            with contextlib.suppress(OSError):
                await asyncio.shield(asyncio.ensure_future(self._cancel(future)))

    async def _cancel(self, future: Any) -> None:
        if future.status == "pending":
            await self._client.cancel([future], force=True)
        future.release()

    # -- what is heard -------------------------------------------------------------------------------------

    def _say(self, file: Path, worker: Worker, session: SessionCommand) -> None:
        """Note where a session runs, as an event of its own."""
        event = {"time": time.time(), "host": worker.name, "say": f"{session.commit[:12]}: on {worker.name}"}
        with file.open("a") as events_file:
            events_file.write(json.dumps(event) + "\n")

    def _hear(self, message: tuple[float, Any] | Any) -> None:
        """Events of a session that runs; those of one that has ended come too late."""
        told = message[1] if isinstance(message, tuple) else message
        folder = self._folders.get(told["session"])
        if folder is not None:
            with contextlib.suppress(OSError), (folder / events.FILE).open("a") as file:
                file.write(told["events"])

    def _complaint(self, session: SessionCommand) -> str:
        """The last thing that a session printed that had trouble."""
        with contextlib.suppress(OSError):
            lines = session.log.read_text("utf-8", "replace").splitlines()
            told = [line for line in lines if line.startswith("ERROR:")] or lines[-1:]
            return told[0].removeprefix("ERROR: ") if told else ""
        return "its session ended without a word"

    # -- afterwards ----------------------------------------------------------------------------------------

    async def fetch_kernel(self, commit: str, signature: str, cache: Path) -> None:
        """Put a kernel into this machine's store, from a worker that has it. Raises HostError if none has."""
        workers = sorted(self.crew.workers.values(), key=lambda worker: commit not in worker.commits)
        blobs = Blobs(cache / "farm" / "files")
        for worker in workers:
            with contextlib.suppress(OSError, WorkerFaultError):
                found = await self.staging.ask(
                    worker.address, "kernels", limit=LONG, commit="", signature=signature
                )
                for kernel in found:
                    archive = self._scratch / kernel["key"]
                    await self.staging.fetch(worker.address, kernel["digest"], archive)
                    digest = await asyncio.to_thread(blobs.add, archive)
                    await asyncio.to_thread(KernelExchange(cache, blobs).add, kernel["key"], digest)
                    await self.staging.ask(worker.address, "drop", digest=kernel["digest"])
                    return
        raise HostError("no worker has it any more: run the reproducer at that commit to build it again")
