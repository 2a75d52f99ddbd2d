"""A built kernel for another machine: its image with modules, and packages if any are asked for."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_kbisect.errors import BuildError
from pytest_kbisect.kernel import build, config, diagnosis, toolchain
from pytest_kbisect.kernel.prebuilt.package import package_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_kbisect.kernel.build import Built
    from pytest_kbisect.kernel.config import ConfigRequest
    from pytest_kbisect.kernel.image import KernelImage
    from pytest_kbisect.kernel.tree import LinuxTree

_PACKAGES: Final = (
    ".deb",
    ".rpm",
    ".tar",
    ".tar.gz",
    ".tar.bz2",
    ".tar.xz",
    ".tar.zst",
    ".changes",
    ".buildinfo",
)
"""Endings of what package targets make."""


@dataclass(frozen=True, slots=True)
class Packaged:
    """A kernel in a folder. `modules` is the folder that has lib/modules; None where it has no modules."""

    commit: str
    release: str
    image: Path
    config: Path
    modules: Path | None = None
    packages: tuple[Path, ...] = ()


def package(
    kernel: KernelImage,
    folder: Path,
    tree: LinuxTree,
    request: ConfigRequest,
    *,
    target: str = "",
    jobs: int,
    progress: Callable[[str], None],
) -> Packaged:
    """Put a kernel and its modules into a folder, and the packages that make builds for a `target`.

    Modules and packages are made in the slot whose O= folder is warm from the build. Raises BuildError where
    make fails, HostError if the host is at fault.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    image = Path(shutil.copy(kernel.image, folder / kernel.image.name))
    configured = Path(shutil.copy(kernel.config, folder / "config"))
    if packaged := package_at(tree, kernel.commit):  # as somebody else has built it
        files = tuple(map(Path, packaged.files))
        return Packaged(kernel.commit, kernel.release, image, configured, packages=files)
    modular = config.values(configured.read_text("utf-8", "replace")).get("MODULES") == "y"
    modules: Path | None = None
    packages: tuple[Path, ...] = ()
    if modular or target:
        log = folder / "build.log"
        tools = toolchain.find(request.architecture)
        with build.build(tree, kernel.source, request, tools, jobs=jobs, log=log, progress=progress) as built:
            if modular:
                progress("build modules")
                modules = folder / "modules"
                _run(built, kernel.commit, ["modules"])
                # Signing and stripping are left to the packages.
                _run(built, kernel.commit, [f"INSTALL_MOD_PATH={modules}", "modules_install"])
            if target:
                progress(f"make {target}")
                packages = _made(built, kernel.commit, target, folder)
    return Packaged(kernel.commit, kernel.release, image, configured, modules, packages)


def _made(built: Built, commit: str, target: str, folder: Path) -> tuple[Path, ...]:
    """Have make build packages, and move them to a folder. kbuild puts them into O= or beside it."""
    places = (built.make.slot.tree, built.make.output.path)
    before = set(_packages(*places))
    _run(built, commit, [target])
    found = [path for path in _packages(*places) if path not in before]
    if not found:
        raise BuildError(f"make {target} made no package: choose another target with --kbisect-package")
    return tuple(Path(shutil.move(path, folder / path.name)) for path in found)


def _packages(*places: Path) -> Iterator[Path]:
    for place in places:
        yield from sorted(
            path for path in place.iterdir() if path.name.endswith(_PACKAGES) and path.is_file()
        )


def _run(built: Built, commit: str, targets: list[str]) -> None:
    output = built.make.output
    output.begin()
    try:
        built.make.targets(targets)
    except subprocess.CalledProcessError:
        cause = diagnosis.root_cause(built.make.lines, (f"{built.make.slot.tree}/",))
        said = cause[0] if cause else built.make.lines[-1].strip()
        raise BuildError(
            f"{commit[:12]}: make {targets[-1]} fails: {said}: see {built.make.log}",
            cause=cause,
            log=str(built.make.log),
        ) from None
    finally:
        output.end()
