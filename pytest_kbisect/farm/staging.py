"""What a worker must have before a session: files by content, commits, and kernels that others have built.

Everything goes to a worker directly. What one worker has, the next one gets from there: the driver sends a
file once, however many workers there are.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from pytest_kbisect.errors import HostError
from pytest_kbisect.farm import packs
from pytest_kbisect.farm.blobs import CHUNK, digest_of, new_upload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from distributed import Client

    from pytest_kbisect.farm.placement import Worker
    from pytest_kbisect.farm.session_files import SessionFiles
    from pytest_kbisect.kernel.tree import LinuxTree

ANSWER: Final = 60.0
"""Seconds in which a worker answers a question, or takes CHUNK bytes."""
LONG: Final = 1800.0
"""Seconds for what takes its time: packs, whole images."""


class WorkerFaultError(HostError):
    """A worker cannot be prepared for a session, for reasons of its own host: the message names them."""


class Staging:
    """Sends what is missing, and counts it; used in the thread of the client's loop."""

    def __init__(
        self,
        client: Client,
        files: SessionFiles,
        tree: LinuxTree,
        ends: tuple[str, ...],
        scratch: Path,
        is_there: Callable[[str], bool],
    ) -> None:
        """`ends` are the ends of the range; `scratch` is a folder for packs; `is_there`: has a worker not
        left?
        """
        self._client = client
        self._is_there = is_there
        self._files = files
        self._tree = tree
        self._ends = ends
        self._scratch = scratch
        self._holders: dict[str, set[str]] = defaultdict(set)
        self._sending: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._preparing: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._packs: dict[Any, tuple[Path, list[str]]] = {}
        self._packing = asyncio.Lock()
        self._range: set[str] = set()
        self._commits_at: dict[str, set[str]] = defaultdict(set)
        self.sent = 0
        """Bytes that left this machine for workers."""
        self.received = 0

    async def ask(self, address: str, question: str, *, limit: float = ANSWER, **values: Any) -> Any:
        """What a worker answers. Raises OSError or TimeoutError if it does not."""
        return await asyncio.wait_for(
            getattr(self._client.rpc(address), f"kbisect_{question}")(**values), limit
        )

    async def prepare(self, worker: Worker, commit: str, others: Iterable[Worker]) -> None:
        """Give a worker all that a session at a commit needs. Raises WorkerFaultError, OSError,
        TimeoutError.
        """
        async with self._preparing[worker.address]:
            await self._prepare_files(worker)
            await self._prepare_commits(worker, commit)
            await self._prepare_kernels(worker, commit, others)

    # -- files ---------------------------------------------------------------------------------------------

    async def _prepare_files(self, worker: Worker) -> None:
        wanted = {file.digest: file for file in self._files.files}
        known = {digest for digest in wanted if worker.address in self._holders[digest]}
        if asked := sorted(wanted.keys() - known):
            lacking = await self.ask(worker.address, "lacking", digests=asked)
            for digest in lacking:
                await self._give(worker.address, digest, wanted[digest].path)
            for digest in asked:
                self._holders[digest].add(worker.address)

    async def _give(self, address: str, digest: str, path: Path) -> None:
        """Have a file get to a worker: from another one, else from here."""
        async with self._sending[digest]:  # while the first copy is on its way nobody else can have it
            peers = sorted(filter(self._is_there, self._holders[digest] - {address}))[:3]
            if not peers:
                await self._send(address, digest, path)
                self._holders[digest].add(address)
                return
        with contextlib.suppress(OSError):
            if await self.ask(address, "fetch", limit=LONG, digest=digest, peers=peers):
                self._holders[digest].add(address)
                return
        await self._send(address, digest, path)
        self._holders[digest].add(address)

    async def _send(self, address: str, digest: str, path: Path) -> None:
        upload = new_upload()
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            while True:
                offset = file.tell()
                data = await asyncio.to_thread(file.read, CHUNK)
                last = file.tell() >= size
                said = await self.ask(
                    address, "put", digest=digest, upload=upload, offset=offset, data=data, last=last
                )
                if said:
                    raise WorkerFaultError(f"it cannot take files: {said}")
                self.sent += len(data)
                if last:
                    return

    async def fetch(self, address: str, digest: str, path: Path) -> None:
        """Get a file from a worker. Raises OSError, TimeoutError, or WorkerFaultError if it is not what was
        announced.
        """
        offset = 0
        with path.open("wb") as file:
            while True:
                data = await self.ask(address, "get", digest=digest, offset=offset)
                if data is None:
                    raise WorkerFaultError("it has lost what a session left")
                file.write(data)
                offset += len(data)
                if len(data) < CHUNK:
                    break
        self.received += offset
        if await asyncio.to_thread(digest_of, path) != digest:
            raise WorkerFaultError("what a session left was damaged on its way")

    # -- commits -------------------------------------------------------------------------------------------

    async def _prepare_commits(self, worker: Worker, commit: str) -> None:
        known = self._commits_at[worker.address]
        if commit in known:
            return
        # The whole range at first: then the rest of the bisection asks and sends no more.
        every = await self._whole_range()
        for wanted, asked in ((self._ends, every), ((commit,), {commit})):
            if commit in known or asked <= known:
                continue
            there = await self._commits(worker, sorted(asked))
            if there["lacking"]:
                await self._send_pack(worker, wanted, await self._commits(worker, wanted))
            known |= asked

    async def _send_pack(self, worker: Worker, wanted: tuple[str, ...], there: dict[str, Any]) -> None:
        """Give a worker commits that it lacks; `there` is what it says of them."""
        path, roots = await self._pack(wanted, there)
        digest = await asyncio.to_thread(digest_of, path)
        if await self.ask(worker.address, "lacking", digests=[digest]):
            await self._give(worker.address, digest, path)
        said = await self.ask(
            worker.address,
            "take",
            limit=LONG,
            object_format=self._tree.object_format,
            digest=digest,
            wanted=list(wanted),
            roots=roots,
        )
        if said:
            raise WorkerFaultError(said)
        if (await self._commits(worker, wanted))["lacking"]:
            raise WorkerFaultError(f"commit {wanted[0][:12]} did not arrive")

    async def _whole_range(self) -> set[str]:
        """All commits between the ends, and the ends."""
        async with self._packing:
            if not self._range:
                newest, *older = self._ends
                words = (newest, *(f"^{commit}" for commit in older)) if older else ("--no-walk", newest)
                listed = await asyncio.to_thread(self._tree.read, "rev-list", *words, "--")
                self._range = {*listed.split(), *self._ends}
        return self._range

    async def _commits(self, worker: Worker, wanted: Iterable[str]) -> dict[str, Any]:
        known = await self.ask(
            worker.address, "commits", object_format=self._tree.object_format, wanted=list(wanted)
        )
        if "fault" in known:
            raise WorkerFaultError(known["fault"])
        return dict(known)

    async def _pack(self, wanted: tuple[str, ...], known: dict[str, Any]) -> tuple[Path, list[str]]:
        """A pack for a worker that knows this much; made once for all that know the same."""
        key = (wanted, tuple(known["tips"]), tuple(known["shallow"]))
        async with self._packing:
            if key not in self._packs:
                path = self._scratch / f"{len(self._packs)}.pack"
                roots = await asyncio.to_thread(packs.make, self._tree, wanted, known, path)
                self._packs[key] = (path, roots)
        return self._packs[key]

    # -- kernels -------------------------------------------------------------------------------------------

    async def _prepare_kernels(self, worker: Worker, commit: str, others: Iterable[Worker]) -> None:
        """Send the kernels of a commit that another worker has built; what cannot be had is built again."""
        if commit in worker.commits:
            return
        for other in others:
            if other is worker or commit not in other.commits:
                continue
            with contextlib.suppress(OSError):
                for kernel in await self.ask(
                    other.address, "kernels", limit=LONG, commit=commit, signature=""
                ):
                    peers = [other.address]
                    if await self.ask(
                        worker.address, "fetch", limit=LONG, digest=kernel["digest"], peers=peers
                    ):
                        await self.ask(
                            worker.address,
                            "add_kernel",
                            limit=LONG,
                            key=kernel["key"],
                            digest=kernel["digest"],
                        )
                return
