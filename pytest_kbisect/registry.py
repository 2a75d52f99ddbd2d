"""What plugins offer under names, and the one that an option chooses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from pytest_kbisect import options
from pytest_kbisect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

    from pytest_kbisect.bisection.executor import Executor
    from pytest_kbisect.bisection.strategy import StrategyKind


class _Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=_Named)


def strategy(config: pytest.Config) -> StrategyKind:
    """The strategy of `--kbisect-strategy`. Raises UsageError for a name that no plugin offers."""
    offers: list[Iterable[StrategyKind]] = config.hook.pytest_kbisect_strategies(config=config)
    return chosen(config, "strategy", offers)


def executor(config: pytest.Config) -> Executor:
    """The executor of `--kbisect-executor`. Raises UsageError for a name that no plugin offers."""
    offers: list[Iterable[Executor]] = config.hook.pytest_kbisect_executors(config=config)
    return chosen(config, "executor", offers)


def chosen(config: pytest.Config, option: str, offers: Iterable[Iterable[T]]) -> T:
    """Of all offers the one that an option names. Raises UsageError if none has that name, or two have."""
    wanted: str = options.value(config, option)
    known = [one for offer in offers for one in offer]
    found = [one for one in known if one.name == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"--kbisect-{option}: two plugins offer {wanted!r}: remove one of them with -p no:NAME"
        )
    names = ", ".join(sorted({one.name for one in known}))
    raise UsageError(
        f"--kbisect-{option}: {wanted!r} cannot be used: no plugin offers it, choose one of {names}"
    )
