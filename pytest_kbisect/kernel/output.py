"""An O= folder that stays trustworthy, whatever happens to the make that writes it.

kbuild decides by times and by the command lines in .cmd files. A make that ends by itself, or by a
signal it can catch, deletes the target it was writing. One that is killed leaves it: half an object,
newer than its source, beside the .cmd file of the build before - which kbuild takes for finished. So
a marker lies in the folder while make runs, and what is newer than a marker left behind is deleted.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

_MARKER = ".kbisect-building"
_STATE = ".kbisect-state"

# conf writes these through temporary files, auto.conf last, and compares with the old one to decide
# which include/config/* to touch (conf_write_autoconf()): deleting any would hide a changed symbol.
_KCONFIG_OWN = ("include/config", "include/generated/autoconf.h", ".config", _MARKER, _STATE)


@dataclass(slots=True)
class Output:
    """An O= folder. `state` are facts about the last build that was begun there; empty: there was none."""

    path: Path
    state: dict[str, str] = field(default_factory=dict)

    def open(self) -> None:
        """Make the folder, or what an interrupted build left of it, ready for a build."""
        marker = self.path / _MARKER
        if marker.exists():
            self._recover(marker)
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            self.state = json.loads((self.path / _STATE).read_bytes())
        except (OSError, ValueError):
            self.state = {}

    def begin(self) -> None:
        """Say that make is about to write here."""
        (self.path / _MARKER).write_text(json.dumps({"boot": _boot_id()}))
        self.save()

    def end(self) -> None:
        """Say that make ended by itself, however it ended."""
        self.save()
        (self.path / _MARKER).unlink(missing_ok=True)

    def save(self) -> None:
        """Write the state down."""
        new = self.path / f"{_STATE}.new"
        new.write_text(json.dumps(self.state))
        new.rename(self.path / _STATE)

    def clear(self) -> None:
        """Begin from nothing."""
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
