"""The modules of a build: installed as `make modules_install` does, packed for guests, and their functions.

Guests get them as a second cpio archive behind their initramfs; the kernel unpacks both. With a disk image
the first process copies them into the guest's layer over the image (see guest/find-root.sh).
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kbisect import host, process
from pytest_kbisect.cpio import Archive

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from pytest_kbisect.kernel.make import Make

ARCHIVE: Final = "modules.cpio"
"""The name under which a kernel's packed modules are kept."""
FUNCTIONS: Final = "modules.functions"
"""The same for the names of the functions in them, one a line."""

_FOLDER: Final = ".kbisect-modules"
_MODPROBE: Final = "sbin/modprobe"
"""What the kernel calls where it wants a module (CONFIG_MODPROBE_PATH)."""


@dataclass(frozen=True, slots=True)
class Modules:
    """Installed modules: `files` by their paths in /lib/modules/RELEASE."""

    release: str
    files: dict[str, Path]

    @property
    def objects(self) -> dict[str, Path]:
        """The modules themselves, without the lists that depmod makes."""
        return {name: path for name, path in self.files.items() if name.endswith(".ko")}

    def pack(self, folder: Path) -> dict[str, Path]:
        """Write the archive for guests and the list of functions; the files by their names in the store."""
        archive = Archive()
        for name, path in self.files.items():
            archive.file(f"lib/modules/{self.release}/{name}", path.read_bytes())
        archive.symlink(_MODPROBE, "/bin/busybox")
        packed, listed = folder / ARCHIVE, folder / FUNCTIONS
        packed.write_bytes(archive.bytes())
        listed.write_text("".join(f"{name}\n" for name in sorted(_functions(self.objects.values()))))
        return {ARCHIVE: packed, FUNCTIONS: listed}


def install(make: Make, release: str) -> Modules:
    """Install what was built into a folder of O=, without debug information.

    Raises HostError where depmod is missing, CalledProcessError where make fails.
    """
    host.require("depmod")
    folder = make.output.path / _FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    depmod = f"DEPMOD={host.find('depmod')}"
    make.targets(["modules_install", f"INSTALL_MOD_PATH={folder}", "INSTALL_MOD_STRIP=1", depmod])
    root = folder / "lib/modules" / release
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    # `build` and `source` are links to the tree.
    inside = {path: path.relative_to(root) for path in files}
    kept = {str(name): path for path, name in inside.items() if name.parts[0] not in {"build", "source"}}
    return Modules(release, kept)


def _functions(paths: Collection[Path]) -> set[str]:
    if not paths:
        return set()
    listing = process.run(["nm", "--defined-only", *paths], check=False).decode("utf-8", "replace")
    found = set()
    for line in listing.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in "tTwW":
            found.add(words[2])
    return found


def functions_in_modules(listed: Path | None, names: Collection[str]) -> frozenset[str]:
    """The names that a kernel's modules define; `listed` is its FUNCTIONS file, None if it has none."""
    return frozenset(names).intersection(listed.read_text().split()) if listed else frozenset()
