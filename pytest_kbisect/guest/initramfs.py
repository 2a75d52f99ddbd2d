"""The user space of a guest: by default an initramfs with busybox and dropbear (see user_space).

About 10 MB unpacked. Login is by a key pair that each directory of runs generates for itself, and the
guest's host key is known beforehand, so that nobody has to trust a network.

With a disk image of the user's (see disk) the initramfs holds busybox alone. It finds the root file system,
whatever the partitions, gives root our public key, and hands over. So an image needs no key and no root=
from the user, and many guests can share it. Its ssh server's host key is not known beforehand, and may
differ at the next boot (some generate one when they first start). Any key is accepted, because the port is
one of 127.0.0.1 that our own QEMU listens on, as its monitor says.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from pytest_kbisect import atomic, host, process
from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.cpio import Archive
from pytest_kbisect.errors import HostError
from pytest_kbisect.guest import user_space

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_kbisect.arch import Architecture
    from pytest_kbisect.guest.disk import DiskImage
    from pytest_kbisect.guest.user_space import UserSpace

INIT, FIND_ROOT = "init.sh", "find-root.sh"
"""The first process of a guest with the default user space, and of one with a disk image."""


@dataclass(frozen=True, slots=True)
class GuestImage:
    """What a guest starts from. `host_key` is the guest's public ssh key, of the type before it.

    With a `disk` the key is not known, and empty.
    """

    initramfs: Path
    client_key: Path
    host_key_type: str = ""
    host_key: bytes = b""
    disk: DiskImage | None = None


def build(
    directory: Path,
    disk: DiskImage | None = None,
    architecture: Architecture = DEFAULT,
    cache: Path | None = None,
) -> GuestImage:
    """Make key pairs and an initramfs in `directory`; what is already there is used again.

    `cache` is the cache folder, which has the programs of other architectures. Raises HostError where busybox
    (static) or dropbear is missing, or is of another architecture.
    """
    if disk is not None:
        return _build_for(disk, directory, architecture, cache)
    programs = user_space.of(architecture, cache)
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    initramfs, client_key = directory / "initramfs.cpio", directory / "id_ecdsa"
    dropbear_key = directory / "dropbear_host_key"
    if not initramfs.exists():
        public = _generate_client_key(client_key)
        dropbear_key.unlink(missing_ok=True)
        process.run([_tool("dropbearkey"), "-t", "ed25519", "-f", dropbear_key])
        atomic.write(initramfs, _archive(programs, public, dropbear_key.read_bytes()))
    kind, blob = _public_line(process.run([_tool("dropbearkey"), "-y", "-f", dropbear_key]))
    return GuestImage(initramfs, client_key, kind, blob)


def _build_for(
    disk: DiskImage, directory: Path, architecture: Architecture, cache: Path | None
) -> GuestImage:
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    initramfs, client_key = directory / "find-root.cpio", directory / "id_ecdsa_disk"
    if not initramfs.exists():
        keys = _generate_client_key(client_key)
        programs = user_space.of(architecture, cache)
        atomic.write(initramfs, finding_root(programs, own_script(FIND_ROOT), keys).bytes())
    return GuestImage(initramfs, client_key, disk=disk)


def _generate_client_key(path: Path) -> str:
    import paramiko

    key = paramiko.ECDSAKey.generate()
    path.unlink(missing_ok=True)
    key.write_private_key_file(str(path))
    return f"{key.get_name()} {key.get_base64()} kbisect\n"


def _public_line(output: bytes) -> tuple[str, bytes]:
    found = re.search(rb"^(ssh-\S+|ecdsa-\S+) (\S+)", output, re.MULTILINE)
    if not found:
        raise HostError(f"dropbearkey printed no public key: {process.tail(output, 3)}")
    return found[1].decode(), base64.b64decode(found[2])


def _tool(name: str) -> str:
    found = host.find(name)
    if not found:
        raise HostError(f"{name} is not installed, and guests need it: run `kbisect setup`")
    return found


def _archive(programs: UserSpace, authorized_keys: str, host_key: bytes) -> bytes:
    archive = _with_busybox(programs, own_script(INIT))
    for name in ("run", "mnt", "usr/bin", "usr/sbin", "sbin", "var/log"):
        archive.directory(name)
    archive.directory("tmp", 0o1777)
    archive.file("usr/sbin/dropbear", programs.dropbear.read_bytes(), 0o755)
    for name, library in programs.libraries().items():
        archive.file(name, library.read_bytes(), 0o755)
    archive.file("etc/dropbear/host_key", host_key, 0o600)
    archive.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    archive.file("etc/group", b"root:x:0:\nnogroup:x:65534:\n")
    archive.file("etc/shadow", b"root:*:0:0:99999:7:::\n", 0o600)
    archive.file("etc/shells", b"/bin/sh\n")
    archive.directory("root", 0o700)
    archive.directory("root/.ssh", 0o700)
    archive.file("root/.ssh/authorized_keys", authorized_keys.encode(), 0o600)
    return archive.bytes()


def finding_root(programs: UserSpace, script: str, authorized_keys: str = "") -> Archive:
    """An initramfs that hands over to the root file system on a disk; `script` is FIND_ROOT or more."""
    archive = _with_busybox(programs, script)
    archive.directory("new")
    archive.file("authorized_keys", authorized_keys.encode())
    return archive


def installing(script: str) -> str:
    """A script of a guest that makes busybox's names first."""
    head, _, rest = script.partition("\n")
    return f"{head}\n/bin/busybox --install -s /bin 2>/dev/null\n{rest}"


def own_script(name: str) -> str:
    """The text of INIT or FIND_ROOT."""
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _with_busybox(programs: UserSpace, script: str) -> Archive:
    """Folders to mount on, busybox under all of its names, and a script as the first process."""
    archive = Archive()
    for name in ("proc", "sys", "dev"):
        archive.directory(name)
    # The kernel opens /dev/console for init before init can mount anything.
    archive.character_device("dev/console", 5, 1)
    archive.file("bin/busybox", programs.busybox.read_bytes(), 0o755)
    for applet in (applets := programs.applets()) or ["sh"]:
        archive.symlink(f"bin/{applet}", "busybox")
    if not applets:
        script = installing(script)
    archive.file("init", script.encode(), 0o755)
    return archive
