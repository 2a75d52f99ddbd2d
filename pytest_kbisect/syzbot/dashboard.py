"""syzbot's dashboard, asked politely: one request a second, and what has come is kept.

CACHE/syzbot/HOST/DIGEST    what an address gave; files of crashes never change, a bug's JSON is kept a day
CACHE/syzbot/HOST/last      its time of change is that of the last request, by whichever process
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Final

from pytest_kbisect import atomic
from pytest_kbisect.errors import HostError, UsageError
from pytest_kbisect.syzbot import bug_page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ADDRESS: Final = "https://syzkaller.appspot.com"
_BETWEEN: Final = 1.0
"""Seconds between requests: dashboard/app/config throttles clients without a token to that."""
_TRIES: Final = 5
_LONGEST_WAIT: Final = 60.0
_LIMIT: Final = 30.0
"""Seconds without a byte."""
_LARGEST: Final = 64 << 20
_BUSY: Final = frozenset({429, 500, 502, 503, 504})
_DAY: Final = 86400.0


class Dashboard:
    """A client for one dashboard. `say` prints a line; `sleep` and `now` are replaced in tests."""

    def __init__(
        self,
        address: str,
        cache: Path,
        *,
        say: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.address = address.rstrip("/")
        host = urllib.parse.urlsplit(self.address).netloc
        self.folder = cache / "syzbot" / host.replace(":", "-")
        self._say, self._sleep = say, sleep

    def bug(self, query: str) -> str:
        """The JSON of a bug; `query` is "extid=..." or "id=...". Raises UsageError or HostError."""
        return self._get(f"/bug?{query}&json=1", keep=_DAY)

    def file(self, link: str) -> str:
        """A file of a crash; `link` may be relative. Raises UsageError where a page comes instead of it."""
        text = self._get(link, keep=None)
        if bug_page.is_page(text):
            raise UsageError(f"{self.whole(link)} gave a web page instead of a file: save the file by hand")
        return text

    def whole(self, link: str) -> str:
        """The address that a link of a page or of JSON leads to."""
        return urllib.parse.urljoin(f"{self.address}/", link)

    def _get(self, link: str, *, keep: float | None) -> str:
        address = self.whole(link)
        if urllib.parse.urlsplit(address).scheme not in {"http", "https"}:
            raise UsageError(f"{address} is no web address: give one of {ADDRESS}")
        kept = self.folder / hashlib.sha256(address.encode()).hexdigest()[:32]
        with contextlib.suppress(OSError):
            if keep is None or time.time() - kept.stat().st_mtime < keep:
                return kept.read_text("utf-8", "replace")
        try:
            data = self._fetch(address)
        except HostError:
            if kept.exists():  # older than it should be, and better than nothing
                self._say(f"note: {self.address} cannot be reached: what it said before is used")
                return kept.read_text("utf-8", "replace")
            raise
        kept.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(kept, data)
        return data.decode("utf-8", "replace")

    def _fetch(self, address: str) -> bytes:
        from pytest_kbisect import __version__

        request = urllib.request.Request(address, headers={"User-Agent": f"pytest-kbisect/{__version__}"})
        wait = _BETWEEN
        reason = ""
        for _ in range(_TRIES):
            self._take_turn()
            try:
                with urllib.request.urlopen(request, timeout=_LIMIT) as answer:
                    data: bytes = answer.read(_LARGEST)
                    expected = int(answer.headers.get("Content-Length") or len(data))
                    if len(data) < expected:  # read() with a limit does not say so
                        raise http.client.IncompleteRead(data, expected - len(data))
                    return data
            except urllib.error.HTTPError as error:
                reason = f"HTTP {error.code}"
                if error.code == 404:
                    raise UsageError(
                        f"{address} is not there (HTTP 404): check the address of the bug"
                    ) from None
                if error.code not in _BUSY:
                    raise UsageError(
                        f"{address} is refused ({reason}): check that you may see this bug"
                    ) from None
                wait = _asked(error) or wait * 2
                self._say(f"{self.address} is busy ({reason}): the next try is in {wait:g} s")
            except (
                http.client.IncompleteRead,
                http.client.HTTPException,
                TimeoutError,
                ConnectionError,
            ) as error:
                reason = type(error).__name__
                wait *= 2
            except urllib.error.URLError as error:
                reason = getattr(error.reason, "strerror", None) or str(error.reason)
                if not isinstance(error.reason, TimeoutError | ConnectionResetError):
                    break  # no name, no route, no network: another try does not help
                wait *= 2
            self._sleep(min(wait, _LONGEST_WAIT))
        raise HostError(f"cannot fetch {address} ({reason}): try again later, what has come is kept")

    def _take_turn(self) -> None:
        """Wait until the last request, of any process of ours, is long enough ago."""
        import filelock

        self.folder.mkdir(parents=True, exist_ok=True)
        last = self.folder / "last"
        with filelock.FileLock(self.folder / "last.lock"):
            with contextlib.suppress(OSError):
                since = time.time() - last.stat().st_mtime
                if 0 <= since < _BETWEEN:
                    self._sleep(_BETWEEN - since)
            last.touch()
            os.utime(last)


def _asked(error: urllib.error.HTTPError) -> float:
    """The seconds that a busy server asks to wait."""
    try:
        return min(_LONGEST_WAIT, max(0.0, float(error.headers.get("Retry-After", ""))))
    except ValueError:
        return 0.0
