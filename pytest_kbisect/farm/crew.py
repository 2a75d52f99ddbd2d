"""The workers of a cluster as the driver knows them: who has joined, who has left, and who takes part."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from pytest_kbisect.errors import HostError
from pytest_kbisect.farm import suitability, worker_facts
from pytest_kbisect.farm.placement import Worker, capacity
from pytest_kbisect.farm.session_files import RESOURCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributed import Client

LOOK: Final = 1.0
"""Seconds between two looks at who is there."""
SILENT: Final = 60.0
"""Seconds without an answer of the scheduler after which it counts as lost."""
_ANSWER: Final = 30.0


class Crew:
    """The workers, by Dask's addresses. Used in the thread of the client's loop."""

    def __init__(
        self, client: Client, architecture: str, *, compiler: str, own: str, note: Callable[[str], None]
    ) -> None:
        """`compiler` is the one of earlier sessions or "", `own` this machine's; `note` prints a line."""
        self._client = client
        self._architecture = architecture
        self._own = own
        self._note = note
        self._versions = worker_facts.versions()
        self._asides: dict[str, str] = {}
        self._heard = time.monotonic()
        self._opened = False
        self.compiler = compiler
        self.workers: dict[str, Worker] = {}
        self.names: set[str] = set()
        """Of our sessions; tasks of other bisections have other names."""
        self.strangers: set[str] = set()
        """Names of workers that were not started by `kbisect worker`."""
        self.changed = asyncio.Condition()

    @property
    def capacity(self) -> int:
        """Sessions at a time."""
        return capacity(self.workers.values())

    @property
    def lost(self) -> bool:
        """Whether the scheduler has been silent for too long."""
        return time.monotonic() - self._heard > SILENT

    async def watch(self) -> None:
        """Look at who is there, for ever."""
        while True:
            await asyncio.sleep(LOOK)
            await self.look()

    async def look(self) -> None:
        """See who has joined and who has left. A scheduler that does not answer changes nothing yet."""
        try:
            known = await asyncio.wait_for(self._client.scheduler.identity(n_workers=-1), _ANSWER)
            tasks = await asyncio.wait_for(self._client.scheduler.processing(workers=None), _ANSWER)
        except (OSError, ValueError):
            return
        self._heard = time.monotonic()
        there: dict[str, dict[str, Any]] = known["workers"]
        gone = [address for address in self.workers if address not in there]
        for address in gone:
            worker = self.workers.pop(address)
            if worker.takes_part:
                self._note(f"worker {worker.name} has left")
        ours = {address: facts for address, facts in there.items() if RESOURCE in facts["resources"]}
        self.strangers = {str(facts["name"]) for address, facts in there.items() if address not in ours}
        new = [address for address in ours if address not in self.workers]
        answers = await asyncio.gather(*(self._ask(address) for address in new))
        joined = [
            Worker(address, str(ours[address]["name"]), offer=offer)
            for address, offer in zip(new, answers, strict=True)
            if offer is not None
        ]
        for worker in joined:
            self.workers[worker.address] = worker
        self._settle_compiler()
        for worker in joined:
            self._judge(worker)
        for address, worker in self.workers.items():
            keys = (str(key).rpartition("-")[2] for key in tasks.get(address, ()))
            worker.others = sum(key not in self.names for key in keys)
        if gone or joined:
            async with self.changed:
                self.changed.notify_all()

    async def _ask(self, address: str) -> suitability.Offer | None:
        try:
            return dict(await asyncio.wait_for(self._client.rpc(address).kbisect_offer(), _ANSWER))
        except (OSError, ValueError):
            return None  # it has just left, or cannot be reached from here; it is asked again

    def _settle_compiler(self) -> None:
        if not self.compiler and self.workers:
            every = [worker.offer for worker in self.workers.values()]
            self.compiler = suitability.compiler_of_range(every, self._architecture, before="", own=self._own)

    def _judge(self, worker: Worker) -> None:
        """Decide whether a worker takes part. Nothing has been sent to it by then."""
        offer = worker.offer
        worker.slots = int(offer["sessions"])
        worker.share = max(1, int(offer["guests"]) // worker.slots)
        worker.unsuitable = tuple(
            suitability.reasons(offer, self._versions, self._architecture, self.compiler)
        )
        # One that comes back under its name was set aside for a reason that may be gone: it is tried again.
        if worker.unsuitable:
            self._note(f"worker {worker.name} does not take part: {'; '.join(worker.unsuitable)}")
        elif self._opened:
            self._note(f"worker {worker.name} has joined")
        if clock := suitability.clock_note(worker.name, offer, time.time()):
            self._note(clock)

    def set_aside(self, worker: Worker, why: str) -> None:
        """Give a worker no more sessions."""
        worker.aside = why
        self._asides[worker.name] = why
        self._note(f"worker {worker.name} is set aside: {why}")

    async def open(self, seconds: float, count: int) -> None:
        """Wait so long for `count` workers. Raises HostError with the reason of each if none takes part."""
        deadline = time.monotonic() + seconds
        await self.look()
        while len(self.workers) < count and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
            await self.look()
        self._opened = True
        if not self.capacity:
            raise self.nobody()

    def nobody(self) -> HostError:
        """The error when no worker is left, with the reason of each."""
        lines = [
            f"{worker.name}: {worker.aside or '; '.join(worker.unsuitable)}"
            for worker in self.workers.values()
        ]
        lines += [f"{name}: it was not started by kbisect worker" for name in sorted(self.strangers)]
        lines += [
            f"{name}: {why}, and it has left since"
            for name, why in self._asides.items()
            if name not in {worker.name for worker in self.workers.values()}
        ]
        if not lines:
            return HostError("the scheduler has no workers: start some with kbisect worker ADDRESS")
        return HostError(
            "no worker can run sessions: correct what is wrong, then give the same command again\n  "
            + "\n  ".join(lines)
        )
