"""Finds out whether the kernel's lines on a console have a mark that the lines of programs lack."""

from __future__ import annotations

from typing import Final

from pytest_kbisect.crash.console_lines import BARE, PROGRAM, read_line
from pytest_kbisect.crash.pattern import Pattern

_TIME: Final = Pattern(rb"(?m)^[^\[\n]{0,64}\[ *\d{1,9}\.\d{6}\]")
_READ_BYTES: Final = 16 << 10
"""Before a headline without a mark, this many bytes are parsed for marks other than times."""
# dev_printk() prints the driver, the device and a colon.
_DEVICE: Final = Pattern(r"^[\w-]{2,32} [\w:.-]{1,32}: (?:WARNING|BUG|INFO):")


class Speakers:
    """Finds out whether a console's kernel lines have a mark: a time (CONFIG_PRINTK_TIME) or a prefix.

    If they do, a line without a mark comes from a program or the firmware. The result is kept across reboots,
    because the firmware prints again before the next boot.
    """

    def __init__(self) -> None:
        self._marked = False
        self._heard_to = 0  # by `listen`
        self._read_to = 0  # line by line

    def are_marked(self, data: bytes | bytearray, before: int) -> bool:
        """Whether the kernel has marked a line up to `before`."""
        self.listen(data, before)
        if not self._marked:
            start = max(self._read_to, before - _READ_BYTES)
            earlier = bytes(data[start:before]).split(b"\n")[:-1]
            self._marked = any(read_line(raw, 0, 0).context not in {BARE, PROGRAM} for raw in earlier)
            self._read_to = before
        return self._marked

    def listen(self, data: bytes | bytearray, before: int) -> None:
        """Look for times in the bytes that have not been searched yet."""
        if not self._marked and before > self._heard_to:
            self._marked = _TIME.compiled.search(data, self._heard_to, before) is not None
        self._heard_to = max(self._heard_to, before)

    def forget(self, count: int) -> None:
        """Adjust the positions after the first `count` bytes of the data were removed."""
        self._heard_to = max(0, self._heard_to - count)
        self._read_to = max(0, self._read_to - count)

    @staticmethod
    def is_of_device(message: str) -> bool:
        """Whether a kernel driver printed this about a device."""
        return _DEVICE.match(message) is not None


__all__ = ["Speakers"]
