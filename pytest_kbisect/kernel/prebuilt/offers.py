"""The kernel packages that a source offers: files in a folder, or apt's lists."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_kbisect import host, process
from pytest_kbisect.errors import HostError, UsageError
from pytest_kbisect.kernel.prebuilt.package import Package

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_kbisect.arch import Architecture

APT: Final = "apt"
"""The source that stands for what apt offers; `apt:FLAVOUR` selects a flavour, `apt:FILE` a sources file."""

_APT_IMAGE: Final = re.compile(r"linux-image-(?:unsigned-)?(\d[\w.+~]*(?:-\d+)?)-([a-z][\w-]*)")
_STANZA: Final = re.compile(r"^(Package|Version|SHA256): (.*)$", re.MULTILINE)
_NO_FLAVOUR: Final = re.compile(r"(?:^|-)(?:dbg|rt|unsigned)(?:-|$)")
_LINUX_VERSION: Final = re.compile(rb"(\d+\.\d+[\w.+~-]*) \(")
_VERSION_NAME: Final = re.compile(r"\d+\.\d+[\w.+~-]*")
_SETUP_HEADER: Final = b"HdrS"  # Documentation/arch/x86/boot.rst: offset 0x202, kernel_version at 0x20e


def offered(sources: Sequence[str], architecture: Architecture, cache: Path, here: Path) -> list[Package]:
    """The packages of all sources, oldest first; of equal versions the first one.

    A source is a folder (of packages, or of kernels that were installed into it), or APT. Raises UsageError
    if one cannot be used, HostError if a program is missing.
    """
    found: dict[str, Package] = {}
    for source in sources:
        kind, _, rest = source.partition(":")
        if kind == APT and not (here / source).exists():
            packages = _of_apt(rest, architecture, cache, here)
        else:
            packages = list(_in_folder(here / Path(source).expanduser(), architecture))
        if not packages:
            raise UsageError(
                f"{source} has no kernel packages for {architecture.name}: give a folder of them, or apt"
            )
        for package in packages:
            found.setdefault(package.tag, package)
    return sorted(found.values(), key=lambda package: package.order)


def _in_folder(folder: Path, architecture: Architecture) -> Iterator[Package]:
    if not folder.is_dir():
        raise UsageError(f"no folder {folder}: give a folder of kernel packages, or apt")
    debs = {path: _fields_of_deb(path) for path in sorted(folder.glob("*.deb"))}
    for path, (name, version, built_for) in debs.items():
        if not name.startswith("linux-image-"):
            continue
        _require_architecture(path, built_for, architecture.debian or architecture.name)
        wanted = name.replace("linux-image-", "linux-modules-").replace("modules-unsigned-", "modules-")
        files = [path, *(other for other, fields in debs.items() if fields[:2] == (wanted, version))]
        yield _package("deb", name, version, files)
    for path in sorted(folder.glob("*.rpm")):
        name, version, built_for = _fields_of_rpm(path)
        if re.fullmatch(r"kernel(?:-core|-default)?", name):
            _require_architecture(path, built_for, architecture.name)
            same = [other for other in sorted(folder.glob("kernel-modules*.rpm")) if version in other.name]
            yield _package("rpm", name, version, [path, *same])
    for place in sorted([folder, *(path for path in folder.iterdir() if path.is_dir())]):
        image = next(
            (place / name for name in (architecture.image_name, "vmlinuz") if (place / name).is_file()), None
        )
        if image is not None:
            version = place.name if _VERSION_NAME.fullmatch(place.name) else _version_of(image)
            yield _package("folder", place.name, version, [place], of=[image])


def _package(
    kind: str, name: str, version: str, files: Sequence[Path], *, of: Sequence[Path] = ()
) -> Package:
    digest = hashlib.sha256()
    for path in of or files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return _checked(
        Package(kind, name, version, digest.hexdigest(), tuple(str(path.absolute()) for path in files))
    )


def _checked(package: Package) -> Package:
    try:
        package.linux  # noqa: B018 - raises
    except ValueError as error:
        raise UsageError(f"{package.name}: {error}: leave it out") from None
    return package


def _require_architecture(path: Path, built_for: str, wanted: str) -> None:
    if built_for not in {wanted, "all", "noarch"}:
        raise UsageError(
            f"{path} is for {built_for}, and guests are {wanted}: leave it out, or use --kbisect-arch"
        )


def _fields_of_deb(path: Path) -> tuple[str, str, str]:
    fields = _ask(
        "dpkg-deb", "--show", "--showformat=${Package}\\n${Version}\\n${Architecture}", str(path)
    ).split("\n")
    return fields[0], fields[1], fields[2]


def _fields_of_rpm(path: Path) -> tuple[str, str, str]:
    query = "%{NAME}\\n%{VERSION}-%{RELEASE}\\n%{ARCH}"
    fields = _ask("rpm", "--query", "--package", "--nosignature", f"--queryformat={query}", str(path)).split(
        "\n"
    )
    return fields[0], fields[1], fields[2]


def _ask(*command: str) -> str:
    if host.find(command[0]) is None:
        raise HostError(f"{command[0]} is not installed, and {command[-1]} needs it: install it")
    try:
        return process.run(command).decode("utf-8", "replace")
    except subprocess.CalledProcessError as error:
        words = process.tail(error.stderr or b"", 1)
        raise UsageError(f"{command[-1]} cannot be read by {command[0]}: {words}: leave it out") from None


def _version_of(image: Path) -> str:
    """As the image's header says it."""
    data = image.read_bytes()
    at = 0x200 + int.from_bytes(data[0x20E:0x210], "little")
    found = _LINUX_VERSION.match(data, at) if data[0x202:0x206] == _SETUP_HEADER else None
    if found is None:
        raise UsageError(
            f"{image} does not say which Linux it is: name its folder's package, or leave it out"
        )
    return found[1].decode()


# -- apt -------------------------------------------------------------------------------------------------


def apt_options(sources: str, cache: Path) -> list[str]:
    """Arguments of apt that make it use a sources file alone; none for the host's own sources."""
    if not sources:
        return []
    state = cache / "apt" / hashlib.sha256(sources.encode()).hexdigest()[:12]
    for folder in ("lists/partial", "archives/partial"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    settings = (
        f"Dir::State::Lists={state / 'lists'}",
        f"Dir::Cache={state}",
        f"Dir::Etc::SourceList={sources}",
        "Dir::Etc::SourceParts=/dev/null",
    )
    return [word for setting in settings for word in ("-o", setting)]


def _of_apt(named: str, architecture: Architecture, cache: Path, here: Path) -> list[Package]:
    """`named` is a flavour, a sources file, or both: `FILE:FLAVOUR`; empty for the host's sources."""
    file, flavour = "", ""
    for part in filter(None, named.split(":")):
        if "/" in part or (here / part).exists():
            file = str(here / part)
        else:
            flavour = part
    options = apt_options(file, cache)
    if file:
        if not Path(file).is_file():
            raise UsageError(f"no sources file {file}: give a file as in /etc/apt/sources.list.d")
        _ask("apt-get", *options, "update")
    names = set(_ask("apt-cache", *options, "pkgnames", "linux-").split())
    images = {name: found for name in names if (found := _APT_IMAGE.fullmatch(name))}
    flavours = {found[2] for found in images.values() if not _NO_FLAVOUR.search(found[2])}
    if flavour and flavour not in flavours:
        raise UsageError(
            f"apt offers no kernels of the flavour {flavour}: use one of {', '.join(sorted(flavours)) or 'none'}"
        )
    wanted = flavour or _for_guests(flavours, architecture.debian or architecture.name)
    chosen = [name for name, found in images.items() if found[2] == wanted]
    if not chosen:
        return []
    packages = []
    for stanza in _ask("apt-cache", *options, "show", *sorted(chosen)).split("\n\n"):
        fields = dict(_STANZA.findall(stanza))
        if len(fields) < 3:
            continue
        name, version = fields["Package"], fields["Version"]
        modules = re.sub(r"^linux-image-(?:unsigned-)?", "linux-modules-", name)
        parts = (f"{name}={version}", *([f"{modules}={version}"] if modules in names else []))
        packages.append(_checked(Package("deb", name, version, fields["SHA256"], (), parts, file)))
    return packages


def _for_guests(flavours: set[str], debian: str) -> str:
    """The flavour that is made for virtual machines, else the usual one."""
    usual = (f"cloud-{debian}", "virtual", "kvm", debian, "generic")
    return next((flavour for flavour in usual if flavour in flavours), min(flavours, default=""))
