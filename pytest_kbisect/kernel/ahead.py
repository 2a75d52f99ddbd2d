"""Builds the commit that is likely to be next while guests of this one run, at the lowest priority.

What it builds is simply in the store when it is wanted. Whoever wants it before it is done takes the
build over (see provide): the processors that were left free for guests are wanted now, and raising the
priority of compilers needs a privilege. What has been compiled by then is used.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple, NoReturn, Self

from pytest_kbisect import process
from pytest_kbisect.errors import KbisectError
from pytest_kbisect.kernel.holders import GRACE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_kbisect.kernel.config import ConfigRequest
    from pytest_kbisect.kernel.rules import BuildRules


class _Wish(NamedTuple):
    """What the background process is to build."""

    kernel: Path
    cache: Path
    commit: str
    configs: tuple[ConfigRequest, ...]
    jobs: int
    rules: BuildRules


class BuildAhead:
    """Builds at most one commit at a time in the background, until closed. It dies with the calling thread.

    `kernel` is the path of the git tree, `configs` are all that a session at a commit builds. A build
    that fails is remembered in the store as any other; what is the host's fault is left for those who
    want the kernel to find.
    """

    def __init__(
        self,
        kernel: Path,
        configs: Sequence[ConfigRequest],
        *,
        cache: Path,
        rules: BuildRules,
    ) -> None:
        self._kernel, self._configs, self._cache = kernel, tuple(configs), cache
        self._rules = rules
        self._child: subprocess.Popen[bytes] | None = None
        self._commit = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def commit(self) -> str:
        """The commit that is being built; empty if none is."""
        return self._commit if self._child is not None and self._child.poll() is None else ""

    def start(self, commit: str, *, jobs: int) -> bool:
        """Begin to build a commit (a full hash) with `jobs` processes; another build is stopped first.

        Does nothing where it is being built already, and where `jobs`, the processors that guests
        leave, are none. Returns whether it is being built. Stop it before a session is started at
        *another* commit: it would find the warm slot taken.
        """
        if self.commit == commit:
            return True
        self.stop()
        if jobs < 1:
            return False
        wish = _Wish(self._kernel, self._cache, commit, self._configs, jobs, self._rules)
        child = process.start([sys.executable, "-m", "pytest_kbisect.kernel.ahead"], stdin=subprocess.PIPE)
        self._child, self._commit = child, commit
        assert child.stdin is not None
        with child.stdin:
            pickle.dump(wish, child.stdin)
        return True

    def stop(self) -> None:
        """Stop make in order, so that the next build goes on from its objects. Takes some seconds at most."""
        child, self._child = self._child, None
        if child is None:
            return
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
        try:
            child.wait(GRACE)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill(child)


def _give_way() -> None:
    """Take the lowest scheduling priority, which compilers started from here inherit."""
    os.nice(19)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _interrupted(_signal: int, _frame: object) -> NoReturn:
    # Several may ask for it: a second interruption would interrupt the stopping in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """Build what the pickled _Wish on stdin asks for; returns an exit status."""
    from pytest_kbisect.kernel.provide import provide
    from pytest_kbisect.kernel.tree import LinuxTree

    signal.signal(signal.SIGINT, _interrupted)
    try:
        wish: _Wish = _Wish(*pickle.load(sys.stdin.buffer))
        _give_way()
        tree = LinuxTree(wish.kernel, wish.cache)
        for config in wish.configs:
            with provide(
                tree,
                wish.commit,
                config,
                jobs=wish.jobs,
                rules=wish.rules,
                background=True,
            ):
                pass
    except KeyboardInterrupt:
        return 130
    except KbisectError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
