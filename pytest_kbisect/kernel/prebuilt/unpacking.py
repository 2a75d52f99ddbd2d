"""Image, configuration and modules out of a kernel package, as a build would have left them."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_kbisect import host, process
from pytest_kbisect.errors import BuildError, ConfigError, HostError
from pytest_kbisect.kernel import config
from pytest_kbisect.kernel.modules import Modules
from pytest_kbisect.kernel.prebuilt.offers import apt_options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_kbisect.arch import Architecture
    from pytest_kbisect.kernel.config import ConfigRequest
    from pytest_kbisect.kernel.prebuilt.package import Package

_PACKED: Final[dict[str, Callable[[bytes], bytes]]] = {".xz": lzma.decompress, ".gz": gzip.decompress}
_BOOTS: Final = ("DEVTMPFS", "BLK_DEV_INITRD", "VIRTIO_NET", "VIRTIO_PCI")
"""What a kernel needs, built in or as modules, for a guest to come up."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """`files` as the store keeps them; `compiler` and `release` as a build says them."""

    files: dict[str, Path]
    signature: str
    compiler: str
    release: str


def unpack(
    package: Package,
    architecture: Architecture,
    folder: Path,
    cache: Path,
    progress: Callable[[str], None],
) -> Unpacked:
    """Fetch a package if apt has it, and take it apart in `folder`.

    Raises BuildError if it lacks something, HostError if the host does.
    """
    if package.kind == "folder":
        root = Path(package.files[0])
    else:
        archives = [Path(path) for path in package.files] or _fetched(package, folder, cache, progress)
        progress("unpack")
        root = folder / "root"
        root.mkdir()
        for path in archives:
            _extract(package.kind, path, root)
    image = _only(
        root,
        package,
        "kernel image",
        ("boot/vmlinuz-*", "lib/modules/*/vmlinuz", "vmlinuz", architecture.image_name),
    )
    configuration = _only(
        root, package, "configuration", ("boot/config-*", "lib/modules/*/config", ".config", "config")
    )
    values = config.values(configuration.read_text("utf-8", "replace"))
    files = {architecture.image_name: image, "config": configuration}
    digest = hashlib.sha256(image.read_bytes())
    release = ""
    if listed := next(root.glob("lib/modules/*/modules.order"), None) or next(
        root.glob("usr/lib/modules/*/modules.order"), None
    ):
        release = listed.parent.name
        modules = _modules(listed.parent, folder / "modules", release)
        for name, path in sorted(modules.objects.items()):
            digest.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode())
        files |= modules.pack(folder)
    if missing := [symbol for symbol in _BOOTS if not _has(values, symbol, modules=bool(release))]:
        lacks = f"{package.name} {package.version} lacks CONFIG_{missing[0]}, which guests need"
        if not release:
            raise BuildError(f"{lacks}: put the package of its modules into the same folder")
        raise BuildError(f"{lacks}: leave it out")
    compiler = values.get("CC_VERSION_TEXT", "").strip('"')
    return Unpacked(files, digest.hexdigest(), compiler, release or package.version)


def require(request: ConfigRequest, package: Package, configuration: Path) -> None:
    """Raise ConfigError if a package's kernel lacks what reproducers ask for; `m` is as good as `y`."""
    values = config.values(configuration.read_text("utf-8", "replace"))
    for fragment in request.asked:
        if fragment.source == config.GUEST or fragment.source.startswith("--kbisect-modules"):
            continue
        for symbol, value in fragment.settings:
            actual = values.get(symbol, "n")
            if actual != value and not {actual, value} <= {"y", "m"}:
                raise ConfigError(
                    f"{package.name} {package.version} has {config.line_of(symbol, actual)}, and "
                    f"{config.line_of(symbol, value)} is asked for ({fragment.source}): use another flavour",
                    symbols=(symbol,),
                )


def _has(values: dict[str, str], symbol: str, *, modules: bool) -> bool:
    return values.get(symbol) == "y" or (modules and values.get(symbol) == "m")


def _fetched(package: Package, folder: Path, cache: Path, progress: Callable[[str], None]) -> list[Path]:
    progress("download")
    place = folder / "fetched"
    place.mkdir()
    command = [
        "apt-get",
        *apt_options(package.apt_sources, cache),
        "-o",
        "APT::Sandbox::User=root",
        "download",
    ]
    try:
        process.run([*command, *package.names], cwd=place)
    except subprocess.CalledProcessError as error:
        words = process.tail(error.stderr or b"", 1)
        raise HostError(
            f"apt-get cannot download {' '.join(package.names)}: {words}: run apt-get update"
        ) from None
    return sorted(place.glob("*.deb"))


def _extract(kind: str, path: Path, root: Path) -> None:
    programs = ("dpkg-deb",) if kind == "deb" else ("rpm2cpio", "cpio")
    if absent := [program for program in programs if host.find(program) is None]:
        raise HostError(f"{absent[0]} is not installed, and unpacks {path.name}: install it")
    try:
        if kind == "deb":
            process.run(["dpkg-deb", "--extract", path, root])
        else:
            archive = root.with_name("archive.cpio")
            archive.write_bytes(process.run(["rpm2cpio", path]))
            process.run(["cpio", "--extract", "--make-directories", "--quiet", "--file", archive], cwd=root)
            archive.unlink()
    except subprocess.CalledProcessError as error:
        words = process.tail(error.stderr or b"", 1)
        raise BuildError(f"{path.name} is damaged: {words}: get it again") from None


def _only(root: Path, package: Package, what: str, patterns: Sequence[str]) -> Path:
    for pattern in patterns:
        for found in (*sorted(root.glob(pattern)), *sorted(root.glob(f"usr/{pattern}"))):
            if found.is_file():
                return found
    raise BuildError(f"{package.name} {package.version} has no {what} ({', '.join(patterns)}): leave it out")


def _modules(folder: Path, to: Path, release: str) -> Modules:
    """The modules, uncompressed: busybox does not read all that distributions use."""
    host.require("depmod")
    root = to / "lib/modules" / release
    shutil.copytree(
        folder, root, ignore=shutil.ignore_patterns("build", "source", "vmlinuz", "vmlinux"), symlinks=True
    )
    for path in sorted(root.rglob("*.ko.*")):
        if unpacker := _PACKED.get(path.suffix):
            path.with_suffix("").write_bytes(unpacker(path.read_bytes()))
            path.unlink()
        elif path.suffix == ".zst":
            if host.find("zstd") is None:
                raise HostError("zstd is not installed, and unpacks the modules of this package: install it")
            process.run(["zstd", "--decompress", "--quiet", "--rm", path])
    process.run([host.find("depmod") or "depmod", "-b", to, release])
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    return Modules(release, {str(path.relative_to(root)): path for path in files})
