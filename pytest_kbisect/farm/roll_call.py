"""All workers of a cluster, and what each lacks: for `kbisect doctor --kbisect-scheduler`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.farm import clusters, suitability, worker_facts
from pytest_kbisect.farm.crew import Crew

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Answer:
    """What one worker answers. `lacks` says why no bisection of this machine would use it; `notes` do not
    matter that much.
    """

    name: str
    address: str
    facts: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def ask(address: str, cache: Path, compiler: str, note: Any) -> list[Answer]:
    """Ask all workers at an address, by name. `compiler` is this machine's. Raises HostError or
    UsageError.
    """
    with contextlib.ExitStack() as held:
        client = clusters.connect(address, held, cache, note)
        crew = Crew(client, DEFAULT.name, compiler="", own=compiler, note=lambda _: None)
        loop = client.loop.asyncio_loop
        asyncio.run_coroutine_threadsafe(_all(crew, clusters.count(address)), loop).result()
        found = [
            _answer(worker.name, worker.address, worker.offer, crew.compiler)
            for worker in crew.workers.values()
        ]
        lacks = ("it was not started by kbisect worker: its tasks would not be run",)
        found += [Answer(name, "", lacks=lacks) for name in crew.strangers]
        return sorted(found, key=lambda one: one.name)


async def _all(crew: Crew, count: int) -> None:
    deadline = time.monotonic() + 60
    await crew.look()
    while len(crew.workers) < count and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        await crew.look()


def _answer(name: str, address: str, offer: suitability.Offer, compiler: str) -> Answer:
    clock = suitability.clock_note(name, offer, time.time())
    warnings = (finding["text"] for finding in offer["findings"] if finding["state"] == "warning")
    here = f"{offer['processors']} processors ({offer['processor']}), {offer['memory']} MiB of memory"
    room = f"{offer['sessions']} sessions and {offer['guests']} guests at a time"
    return Answer(
        name,
        address,
        facts=(
            f"{here}, {offer['disk'] >> 10} GiB of disk free",
            f"{room}, {'KVM' if offer['kvm'] else 'no KVM'}, {offer['qemu'] or 'no QEMU'}",
            *(f"{architecture}: {tools}" for architecture, tools in sorted(offer["toolchains"].items())),
            f"cache {offer['cache']}, {'clone ' + offer['clone'] if offer['clone'] else 'no clone of Linux'}",
        ),
        lacks=tuple(suitability.reasons(offer, worker_facts.versions(), DEFAULT.name, compiler)),
        notes=(*warnings, *([clock] if clock else [])),
    )


def as_json(answers: list[Answer]) -> list[dict[str, Any]]:
    """For programs."""
    return [{**asdict(one), "takes_part": not one.lacks} for one in answers]
