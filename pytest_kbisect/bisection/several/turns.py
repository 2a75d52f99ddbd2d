"""Code that runs by turns: each body in a thread of its own, never two at a time, never beside the caller.

A bisection decides, asks for an experiment and waits for it deep inside its own calls. Where several of them
share sessions, each waits in its thread until the caller has something for it. As only one runs at a time,
what they share needs no locks, and the same replies give the same decisions.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

_PATIENCE = 10.0
"""Seconds to wait for a thread that is asked to end. One that is asking git something ends when that has."""


class StoppedError(BaseException):
    """Raised where a body waits, if nobody will give it anything any more."""


class Turn(Generic[Result]):
    """A body that asks for things. `wish` is what it waits for; None once it has ended.

    `result` is what it returned, `error` what it raised.
    """

    def __init__(self, body: Callable[[Callable[[Any], Any]], Result]) -> None:
        """`body` gets a function that asks: it returns what `resume` is given, or raises that."""
        self._body = body
        self._replies: SimpleQueue[Any] = SimpleQueue()
        self._asked: SimpleQueue[None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.wish: Any = None
        self.ended = False
        self.result: Result | None = None
        self.error: BaseException | None = None

    def start(self) -> None:
        """Let it run until it asks, or ends."""
        self._thread.start()
        self._asked.get()

    def resume(self, reply: Any) -> None:
        """Give it what it waits for, or an exception to raise, and let it run on."""
        self.wish = None
        self._replies.put(reply)
        self._asked.get()

    def stop(self) -> None:
        """End it where it waits; harmless for one that has ended."""
        if not self.ended and self._thread.is_alive():
            self._replies.put(StoppedError())
            self._thread.join(_PATIENCE)

    def _run(self) -> None:
        try:
            self.result = self._body(self._ask)
        except BaseException as error:  # noqa: BLE001 - raised by the caller
            self.error = error
        self.ended = True
        self._asked.put(None)

    def _ask(self, wish: Any) -> Any:
        self.wish = wish
        self._asked.put(None)
        reply = self._replies.get()
        if isinstance(reply, BaseException):
            raise reply
        return reply
