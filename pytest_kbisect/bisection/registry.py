"""What plugins offer under names, and the one that an option chooses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from pytest_kbisect import options
from pytest_kbisect.bisection.executor import Executor
from pytest_kbisect.errors import UsageError
from pytest_kbisect.extensions import entries
from pytest_kbisect.strategies.strategy import StrategyKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest


class _Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=_Named)


def strategy(config: pytest.Config) -> StrategyKind:
    """The strategy of `--kbisect-strategy`. Raises UsageError for a name that no plugin offers."""
    hook = "pytest_kbisect_strategies"
    return _chosen(config, "strategy", entries(config.pluginmanager, hook, StrategyKind, config=config))


def executor(config: pytest.Config) -> Executor:
    """The executor of `--kbisect-executor`. Raises UsageError for a name that no plugin offers."""
    hook = "pytest_kbisect_executors"
    # mypy takes a protocol for abstract, which it is only to be called.
    offers = entries(config.pluginmanager, hook, Executor, config=config)  # type: ignore[type-abstract]
    return _chosen(config, "executor", offers)


def _default(config: pytest.Config, option: str) -> str:
    """The name that is meant where an option names none."""
    return "dask" if option == "executor" and options.value(config, "scheduler") else "local"


def _chosen(config: pytest.Config, option: str, offers: Sequence[T]) -> T:
    """Of all offers the one that an option names. Raises UsageError if none has that name, or two have."""
    wanted: str = options.value(config, option) or _default(config, option)
    found = [one for one in offers if one.name == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"--kbisect-{option}: two plugins offer {wanted!r}: remove one of them with -p no:NAME"
        )
    names = ", ".join(sorted({one.name for one in offers}))
    raise UsageError(
        f"--kbisect-{option}: {wanted!r} cannot be used: no plugin offers it, choose one of {names}"
    )
