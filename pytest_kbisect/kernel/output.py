"""An O= folder that stays trustworthy, whatever happens to the make that writes it.

kbuild decides by times and by the command lines in .cmd files. A make that ends by itself, or by a
signal it can catch, deletes the target it was writing. One that is killed leaves it: half an object,
newer than its source, beside the .cmd file of the build before - which kbuild takes for finished. So
a marker lies in the folder while make runs, and what is newer than a marker left behind is deleted.
A clock that was set back makes sources look older than the objects of their predecessors: a folder
whose last build ended in the future, or took less than no time, is built from nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from pytest_kbisect import atomic

CLOCK_SLACK = 1.0
"""Seconds by which clocks of a host may differ without having been set."""

MARKER = ".kbisect-building"
"""File that lies there while make runs: what make has written is newer."""
_STATE = ".kbisect-state"
_SET_BACK = "clock set back"

# conf writes these through temporary files, auto.conf last, and compares with the old one to decide
# which include/config/* to touch (conf_write_autoconf()): deleting any would hide a changed symbol.
_KCONFIG_OWN = ("include/config", "include/generated/autoconf.h", ".config", MARKER, _STATE)


@dataclass(slots=True)
class Output:
    """An O= folder. `state` are facts about the last build that was begun there; empty: there was none."""

    path: Path
    state: dict[str, str] = field(default_factory=dict)
    _ahead: float = 0.0
    """By how much the wall's clock is ahead of the one that is never set, when make was begun."""

    def open(self) -> bool:
        """Make the folder, or what an interrupted build left of it, ready for a build.

        Returns whether what lay there was thrown away because the clock has been set back.
        """
        marker = self.path / MARKER
        written = [file.stat().st_mtime for file in (marker, self.path / _STATE) if file.exists()]
        if marker.exists():
            self._recover(marker)
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            self.state = json.loads((self.path / _STATE).read_bytes())
        except (OSError, ValueError):
            self.state = {}
        set_back = _SET_BACK in self.state or max(written, default=0) > time.time() + CLOCK_SLACK
        if set_back:
            self.clear()
        return set_back

    def begin(self) -> None:
        """Say that make is about to write here."""
        self._ahead = time.time() - time.monotonic()
        (self.path / MARKER).write_text(json.dumps({"boot": _boot_id()}))
        self.save()

    def end(self) -> None:
        """Say that make ended by itself, however it ended."""
        if time.time() - time.monotonic() < self._ahead - CLOCK_SLACK:
            self.state[_SET_BACK] = "during make"
        self.save()
        (self.path / MARKER).unlink(missing_ok=True)

    def save(self) -> None:
        """Write the state down."""
        atomic.write(self.path / _STATE, json.dumps(self.state))

    def clear(self) -> None:
        """Empty the folder, for a build from nothing."""
        trash = self.path.with_name(f"{self.path.name}.trash")
        shutil.rmtree(trash, ignore_errors=True)
        if self.path.exists():
            self.path.rename(trash)  # a folder half deleted would look like one half built
            shutil.rmtree(trash, ignore_errors=True)
        self.path.mkdir(parents=True)
        self.state = {}

    def _recover(self, marker: Path) -> None:
        try:
            same_boot = json.loads(marker.read_bytes())["boot"] == _boot_id()
        except (OSError, ValueError, KeyError):
            same_boot = False
        if not same_boot:
            # The host went down: files may be there without their contents, whatever their times.
            self.clear()
            return
        since = marker.stat().st_mtime_ns
        for folder, _, names in os.walk(self.path):
            inside = os.path.relpath(folder, self.path)
            if inside.startswith("include/config"):
                continue
            for name in names:
                path = Path(folder, name)
                if os.path.normpath(f"{inside}/{name}") in _KCONFIG_OWN:
                    continue
                if path.lstat().st_mtime_ns >= since:
                    path.unlink()
        marker.unlink()


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
