"""Whether a worker may take part in a bisection, and if not, why: from what it states alone."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CLOCK: Final = 120.0
"""Seconds that two clocks may differ before it is mentioned. No result depends on it."""

Offer = dict[str, Any]
"""What a worker states: `worker_facts.constant` and `worker_facts.now` together."""


def reasons(offer: Offer, versions: Mapping[str, str], architecture: str, compiler: str) -> list[str]:
    """Why a worker cannot take part; empty if it can. `compiler` is the one of this range."""
    found = [
        f"{name} {offer['versions'].get(name, 'is missing')} there, {version} here: install the same version"
        for name, version in versions.items()
        if offer["versions"].get(name) != version
    ]
    own = offer["toolchains"].get(architecture)
    if own is None:
        found.append(f"it has no compiler for {architecture}: install one")
    elif own != compiler:
        found.append(f"its compiler is {own}, this range is built with {compiler}: install that one")
    return found + [f"{problem}: kbisect doctor there says more" for problem in trouble(offer)]


def trouble(offer: Offer) -> list[str]:
    """What is wrong with the worker's host."""
    return list(dict.fromkeys([*offer["faults"], *offer["problems"]]))


def compiler_of_range(offers: Iterable[Offer], architecture: str, *, before: str, own: str) -> str:
    """The compiler with which all commits of a range are built.

    `before` is the one of earlier sessions, `own` the driver's. Otherwise it is the one that most workers
    have.
    """
    if before:
        return before
    count = Counter(compiler for offer in offers if (compiler := offer["toolchains"].get(architecture)))
    if own in count or not count:
        return own
    return str(min(count, key=lambda compiler: (-count[compiler], compiler)))


def clock_note(name: str, offer: Offer, now: float) -> str:
    """What to say of a worker's clock; "" if it agrees with the driver's (`now`)."""
    ahead = offer["clock"] - now
    if abs(ahead) <= CLOCK:
        return ""
    size = f"{abs(ahead) / 3600:.1f} h" if abs(ahead) >= 3600 else f"{abs(ahead) / 60:.0f} min"
    return (
        f"the clock of {name} is {size} {'ahead' if ahead > 0 else 'behind'}: times in its logs are wrong, results"
        " do not depend on them"
    )
