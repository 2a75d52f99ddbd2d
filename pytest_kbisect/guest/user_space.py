"""The programs that guests run: the host's, or for another architecture those of Debian's packages.

For another architecture they lie in CACHE/user-space/NAME, as the packages unpack: busybox without libraries,
and dropbear with those that it needs. `fetch` downloads them with apt, as an ordinary user; the host's own
packages are left alone. On hosts without apt the folder can be filled by hand.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_kbisect import host
from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.errors import HostError
from pytest_kbisect.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kbisect.arch import Architecture

_PACKAGES: Final = ("busybox-static", "dropbear-bin")
_FOLDERS: Final = ("usr/sbin", "sbin", "usr/bin", "bin", ".")


@dataclass(frozen=True, slots=True)
class UserSpace:
    """Where guests' programs come from. `root` is the folder of another architecture's; None: the host."""

    busybox: Path
    root: Path | None = None
    architecture: Architecture = DEFAULT

    @property
    def dropbear(self) -> Path:
        """Raises HostError where it is missing: guests with a disk image do without."""
        return (
            Path(_own("dropbear")) if self.root is None else _found(self.root, "dropbear", self.architecture)
        )

    def applets(self) -> list[str]:
        """The names that busybox has; none where it cannot run here: the guest installs them then."""
        if self.root is not None:
            return []
        listing = subprocess.run([self.busybox, "--list"], capture_output=True, text=True, check=True)
        return [name for name in listing.stdout.split() if name != "busybox"]

    def libraries(self) -> dict[str, Path]:
        """The shared libraries of dropbear, the dynamic loader among them: paths in the guest, and here."""
        if self.root is None:
            listing = subprocess.run(["ldd", self.dropbear], capture_output=True, text=True, check=False)
            return {name: Path(name) for name in re.findall(r"(/\S+)(?= \(0x)", listing.stdout)}
        return _needed(self.dropbear, self.root)


def folder(architecture: Architecture, cache: Path) -> Path:
    """The folder of an architecture's programs."""
    return cache / "user-space" / architecture.name


def of(architecture: Architecture, cache: Path | None) -> UserSpace:
    """The programs for guests. Raises HostError where busybox is missing or is of another architecture."""
    if architecture.is_native():
        return UserSpace(_own_busybox(), architecture=architecture)
    root = folder(architecture, cache) if cache else None
    if root is None or not root.is_dir():
        raise HostError(
            f"guests of {architecture.name} need programs of that architecture:"
            f" run kbisect setup --arch {architecture.name}"
        )
    return UserSpace(_found(root, "busybox", architecture), root, architecture)


def is_there(architecture: Architecture, cache: Path) -> bool:
    """Whether the programs are there."""
    try:
        _ = of(architecture, cache).dropbear
    except HostError:
        return False
    return True


def _own(name: str) -> str:
    found = host.find(name)
    if not found:
        raise HostError(f"{name} is not installed, and guests need it: run `kbisect setup`")
    return found


def _own_busybox() -> Path:
    if found := host.static_busybox():
        return Path(found)
    raise HostError(f"{_own('busybox')} is not static, and guests have no C library: run `kbisect setup`")


def _found(root: Path, name: str, architecture: Architecture) -> Path:
    """A program below a folder. Raises HostError where it is not there, or of another architecture."""
    again = f"run kbisect setup --arch {architecture.name}"
    for place in _FOLDERS:
        path = root / place / name
        if path.is_file():
            machine = _machine(path)
            if machine != architecture.elf_machine:
                raise HostError(f"{path} is of another architecture ({machine or 'no program'}): {again}")
            if name == "busybox" and _interpreter(path):
                raise HostError(f"{path} is not static, and guests have no C library for it: {again}")
            return path
    raise HostError(f"there is no {name} in {root}: {again}")


# -- fetching --------------------------------------------------------------------------------------------


def fetch(architecture: Architecture, cache: Path, say: Callable[[str], None]) -> Path:
    """Download an architecture's programs and unpack them; returns their folder.

    Raises HostError where apt or the packages are not to be had.
    """
    from pytest_kbisect.guest.foreign_packages import Packages

    target = folder(architecture, cache)
    say(f"download {' and '.join(_PACKAGES)} for {architecture.debian or architecture.name}")
    with scratch_folder(cache / "run") as scratch:
        try:
            packages = Packages(architecture, scratch, _PACKAGES[0])
            needed = [name for one in _PACKAGES for name in packages.depends(one) or [one]]
            packages.unpack([*dict.fromkeys(needed)], scratch / "root")
        except HostError as error:
            raise HostError(
                f"{error}; or unpack a static busybox and a dropbear of {architecture.name} into {target}"
            ) from None
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(scratch / "root", target)
    _ = of(architecture, cache).dropbear
    return target


# -- ELF files -------------------------------------------------------------------------------------------


def _elf(path: Path) -> Any:
    import io

    from elftools.elf.elffile import ELFFile

    return ELFFile(io.BytesIO(path.read_bytes()))


def _machine(path: Path) -> str:
    from elftools.common.exceptions import ELFError

    try:
        return str(_elf(path)["e_machine"])
    except ELFError:
        return ""


def _interpreter(path: Path) -> str:
    for segment in _elf(path).iter_segments():
        if segment.header.p_type == "PT_INTERP":
            return str(segment.get_interp_name())
    return ""


def _needed(program: Path, root: Path) -> dict[str, Path]:
    """The libraries that a program loads, and they: found below `root` by name."""
    places = {path.name: path for path in sorted(root.rglob("*.so*"))}
    found: dict[str, Path] = {}
    if loader := _interpreter(program):
        found[loader] = _inside(root, places, Path(loader).name)
    names = [Path(library).name for library in found]
    seen: set[str] = set()
    left = [program, *found.values()]
    while left:
        dynamic = _elf(left.pop()).get_section_by_name(".dynamic")
        for tag in dynamic.iter_tags() if dynamic else ():
            name = getattr(tag, "needed", "")
            if name and name not in seen and name not in names:
                seen.add(name)
                path = _inside(root, places, name)
                found[f"/{path.parent.relative_to(root)}/{name}"] = path
                left.append(path)
    return found


def _inside(root: Path, places: dict[str, Path], name: str) -> Path:
    """A library's file; links lead elsewhere below the folder."""
    path = places.get(name)
    while path is not None and path.is_symlink():
        target = Path(os.readlink(path))
        path = root / target.relative_to("/") if target.is_absolute() else path.parent / target
    if path is None or not path.is_file():
        raise HostError(f"there is no {name} in {root}: fetch the programs again (kbisect setup --arch)")
    return path
