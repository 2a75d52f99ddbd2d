"""Which worker gets a session: pure, from what is known of the workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytest_kbisect.farm.suitability import Offer


@dataclass(slots=True)
class Worker:
    """A worker as the driver knows it.

    `address` is Dask's, `name` what people call it. `running` are our sessions there, `others` is the
    number of tasks of other bisections. `commits` are those that it has tested for us, the last one last;
    `seconds` what its sessions took. `aside` says why it gets no more sessions; `unsuitable` why it never
    got one.
    """

    address: str
    name: str
    slots: int = 1
    share: int = 1
    """Of the resource GUESTS, for each session."""
    running: set[str] = field(default_factory=set)
    others: int = 0
    commits: dict[str, None] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    failures: int = 0
    aside: str = ""
    unsuitable: tuple[str, ...] = ()
    offer: Offer = field(default_factory=dict)

    @property
    def takes_part(self) -> bool:
        return not (self.aside or self.unsuitable)

    @property
    def free(self) -> int:
        """Sessions that could begin at once."""
        return self.slots - len(self.running) - self.others if self.takes_part else 0

    @property
    def pace(self) -> float:
        """Mean seconds of its sessions; 0 if it had none."""
        return sum(self.seconds) / len(self.seconds) if self.seconds else 0.0

    def tested(self, commit: str) -> None:
        """Note that its trees have this commit's files now."""
        self.commits.pop(commit, None)
        self.commits[commit] = None

    @property
    def last(self) -> str:
        """The commit that its trees have; "" if it had none."""
        return next(reversed(self.commits), "")


def capacity(workers: Iterable[Worker]) -> int:
    """Sessions at a time, on all workers that take part."""
    return sum(worker.slots for worker in workers if worker.takes_part)


def place(
    workers: Mapping[str, Worker],
    commit: str,
    *,
    host: str = "",
    avoid: frozenset[str] = frozenset(),
    nearest: Callable[[str, Sequence[str]], Sequence[str]] = lambda _, others: others,
) -> Worker | None:
    """The worker for a session at a commit; None if none takes part.

    One by the name of `host` gets it, even if it has to wait there. Otherwise, of those that are free, the
    one that has built the commit, else the one whose tree is nearest in history (`nearest` orders commits
    by that), else the quickest. If none is free the session waits where the fewest wait. Workers named in
    `avoid`, where this session has failed, come last.
    """
    every = [worker for worker in workers.values() if worker.takes_part]
    if not every:
        return None
    named = [worker for worker in every if host and worker.name == host and worker.name not in avoid]
    if named:
        return min(named, key=lambda worker: len(worker.running))
    fresh = [worker for worker in every if worker.name not in avoid]
    free = [worker for worker in fresh if worker.free > 0]
    if not free:
        return min(fresh or every, key=lambda worker: (-worker.free / worker.slots, worker.name))
    known = list(dict.fromkeys(worker.last for worker in free if worker.last))
    order = {sha: n for n, sha in enumerate(nearest(commit, known) if len(known) > 1 else known)}
    return min(
        free,
        key=lambda worker: (
            commit not in worker.commits,
            order.get(worker.last, len(order)),
            worker.pace,
            worker.name,
        ),
    )
