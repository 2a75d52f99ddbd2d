"""A Dask worker that builds kernels and runs guests: what `kbisect worker` starts.

Dask starts it as well, by the name of its class: `dask worker --worker-class
pytest_kbisect.farm.farm_worker.FarmWorker`, SSHCluster, dask-jobqueue and Dask's operator. Everything large
reaches it directly, from the driver or from another worker, over connections of Dask's (and so under its
TLS), and not through the scheduler.
"""

from __future__ import annotations

import asyncio
import contextlib
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed import Worker

from pytest_kbisect import options
from pytest_kbisect.errors import HostError
from pytest_kbisect.farm import worker_facts
from pytest_kbisect.farm.blobs import CHUNK, Blobs, new_upload
from pytest_kbisect.farm.kernel_exchange import KernelExchange
from pytest_kbisect.farm.packs import Clone
from pytest_kbisect.farm.session_files import RESOURCE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


_REACHED = 10.0
"""Seconds in which another worker answers, or counts as gone."""


class FarmWorker(Worker):  # type: ignore[misc]
    """One process on one host. `sessions` run at a time, each with an equal share of the guests."""

    def __init__(
        self,
        *args: Any,
        kbisect_cache: str | None = None,
        kbisect_kernel: str | None = None,
        kbisect_store_size: int | None = None,
        sessions: int = 1,
        guests: int | None = None,
        jobs: int | None = None,
        **others: Any,
    ) -> None:
        """`kbisect_kernel` is a clone of Linux on this host, `kbisect_store_size` in GiB.

        `guests` at a time and `jobs` of make, both in all; without them, as many as processors and memory
        allow. Raises KbisectError.
        """
        self.cache = Path(kbisect_cache or options.default_cache()).absolute()
        self.slots = max(1, sessions)
        self.store_size = kbisect_store_size
        self._held = contextlib.ExitStack()
        self.leaving = False
        own = _own_clone(kbisect_kernel, self.cache)
        self.blobs = Blobs(self.cache / "farm" / "files")
        self.clone = Clone(self.cache / "farm", *(own or (None,)))
        self.constant = worker_facts.constant(
            self.cache, sessions=self.slots, clone=Path(kbisect_kernel) if kbisect_kernel else None
        )
        total = guests or int(self.constant["guests"])
        self.constant["guests"] = total
        self.guests_each = max(1, total // self.slots)
        self.shares = self.slots > 1 or guests is not None or jobs is not None
        """Whether a session must not take all processors."""
        self.jobs_each = max(1, (jobs or int(self.constant["processors"])) // self.slots)
        self.kernels = KernelExchange(self.cache, self.blobs)
        self.host_name = str(others.get("name") or platform.node())
        given = {
            "nthreads": self.slots,
            "resources": {RESOURCE: self.guests_each * self.slots},
            "memory_limit": 0,  # sessions are processes of their own
            "dashboard_address": "127.0.0.1:0",
        }
        super().__init__(*args, **{**others, **given, "name": self.host_name})
        self._make_shared()
        self.handlers.update(
            {
                "kbisect_offer": self.kbisect_offer,
                "kbisect_lacking": self.kbisect_lacking,
                "kbisect_put": self.kbisect_put,
                "kbisect_get": self.kbisect_get,
                "kbisect_fetch": self.kbisect_fetch,
                "kbisect_drop": self.kbisect_drop,
                "kbisect_commits": self.kbisect_commits,
                "kbisect_take": self.kbisect_take,
                "kbisect_kernels": self.kbisect_kernels,
                "kbisect_add_kernel": self.kbisect_add_kernel,
            }
        )

    def _make_shared(self) -> None:
        """The folder of frozen guests, which stay from one session to the next."""
        from pytest_kbisect.guest.pool import Pool
        from pytest_kbisect.scratch import scratch_folder

        with contextlib.suppress(OSError):
            self.blobs.sweep()
        folder = self._held.enter_context(scratch_folder(self.cache / "run"))
        self.shared = folder / "shared"
        self._held.enter_context(Pool.create(self.shared / "frozen"))

    async def close(self, *args: Any, **others: Any) -> Any:
        """End all sessions, then the worker: also when the scheduler is gone."""
        self.leaving = True
        try:
            return await super().close(*args, **others)
        finally:
            self._held.close()

    # -- what the driver asks ----------------------------------------------------------------------------

    async def kbisect_offer(self) -> dict[str, Any]:
        """What this host has, now."""
        return {**self.constant, **await asyncio.to_thread(worker_facts.now, self.cache)}

    async def kbisect_lacking(self, digests: Sequence[str]) -> list[str]:
        """Those of the files that have not travelled yet."""
        return await asyncio.to_thread(self.blobs.lacking, digests)

    async def kbisect_put(self, digest: str, upload: str, offset: int, data: bytes, last: bool) -> str:
        """Take a part of a file; says why that is impossible, or "" ."""
        return await _said(self.blobs.write, digest, upload, offset, data, last=last)

    async def kbisect_get(self, digest: str, offset: int) -> bytes | None:
        """A part of a file; None if it is not here."""
        try:
            return await asyncio.to_thread(self.blobs.read, digest, offset)
        except FileNotFoundError:
            return None

    async def kbisect_fetch(self, digest: str, peers: Sequence[str]) -> bool:
        """Get a file from one of some other workers; whether that worked."""
        for peer in peers:
            with contextlib.suppress(OSError, HostError):
                # Dask would try for a minute to reach one that has just died.
                await asyncio.wait_for(self.rpc(peer).identity(), _REACHED)
                if await self._fetch(digest, peer):
                    return True
        return False

    async def _fetch(self, digest: str, peer: str) -> bool:
        upload, offset = new_upload(), 0
        while True:
            data = await self.rpc(peer).kbisect_get(digest=digest, offset=offset)
            if data is None:
                return False
            last = len(data) < CHUNK
            await asyncio.to_thread(self.blobs.write, digest, upload, offset, bytes(data), last=last)
            if last:
                return True
            offset += len(data)

    async def kbisect_drop(self, digest: str) -> None:
        """Remove a file: what a session left, once the driver has it."""
        await asyncio.to_thread(self.blobs.drop, digest)

    async def kbisect_commits(self, object_format: str, wanted: Sequence[str]) -> dict[str, Any]:
        """Which commits are not here, and what a pack may build on; `fault` says why that is not known."""
        try:
            return await asyncio.to_thread(self.clone.known, object_format, wanted)
        except (HostError, OSError) as error:
            return {"fault": str(error)}

    async def kbisect_take(
        self, object_format: str, digest: str, wanted: Sequence[str], roots: Sequence[str]
    ) -> str:
        """Take in a pack of commits that has arrived as a file; says why that is impossible, or ""."""
        return await _said(self.clone.take, object_format, self.blobs.path(digest), wanted, roots)

    async def kbisect_kernels(self, commit: str, signature: str) -> list[dict[str, Any]]:
        """The kernels of a commit, or of a signature, as files that others can fetch."""
        return await asyncio.to_thread(self.kernels.export, commit, signature)

    async def kbisect_add_kernel(self, key: str, digest: str) -> str:
        """Add a kernel that has arrived as a file to the store; says why that is impossible, or ""."""
        return await _said(self.kernels.add, key, digest)


def _own_clone(path: str | None, cache: Path) -> tuple[Path, Path] | None:
    """Objects and list of cut commits of a clone on this host. Raises UsageError if it is none."""
    if path is None:
        return None
    from pytest_kbisect.kernel.git import Repository

    repository = Repository(options.path(path), cache)
    return repository.objects, repository.git_dir / "shallow"


async def _said(step: Callable[..., None], *values: Any, **named: Any) -> str:
    """Do something in a thread; what went wrong, in words, because exceptions are not sent between
    versions.
    """
    try:
        await asyncio.to_thread(step, *values, **named)
    except (HostError, OSError, ValueError) as error:
        return str(error)
    return ""
