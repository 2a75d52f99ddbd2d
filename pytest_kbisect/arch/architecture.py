"""What depends on a processor's architecture, as one table entry."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_kbisect.arch.trouble import Trouble
    from pytest_kbisect.kernel.loaded import Loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """All facts of one architecture. Paths are relative to the top of a kernel tree or its O= folder."""

    name: str
    """As `uname -m` prints it; the value of --kbisect-arch."""
    aliases: tuple[str, ...] = ()
    """Other names that --kbisect-arch accepts."""
    host_machines: tuple[str, ...]
    """What `uname -m` prints on hosts that need no cross compiler and no emulation."""

    # -- kbuild
    kbuild: str
    """ARCH= of make."""
    source_folder: str
    """Its folder below arch/."""
    target: str
    """What make is asked for."""
    image: str
    """The file that QEMU boots."""
    packed: str = ""
    """Pattern of the files that the image has packed, of which one must be in it; "" to trust make."""
    boot_folders: tuple[str, ...] = ()
    """Folders whose objects are not in vmlinux."""
    cross_prefix: str = ""
    """Of the compiler and the linker on other hosts."""
    cross_packages: tuple[str, ...] = ()
    """Debian's packages of these."""
    debian: str = ""
    """Its name in Debian, whose packages are the user space of guests on other hosts; "" for none."""
    debian_suite: str = ""
    """The first suite of Debian that has it, where that is a young one."""
    macro: str = ""
    """What a compiler for it predefines; "" to accept any compiler."""
    compiler_flags: tuple[str, ...] = ()
    """That a compiler for several architectures needs."""
    clang_target: str = ""
    """--target= of clang, which makes code for all."""
    config: str = ""
    """Lines of configuration that a guest needs on this architecture alone. They are checked."""
    wanted_config: str = ""
    """Lines that guests are better with, where a kernel has them."""
    compiler_troubles: tuple[Trouble, ...] = ()

    # -- QEMU
    qemu: str
    qemu_packages: Mapping[str, str]
    """Packages of QEMU: by "debian", and by another distribution's name where it differs; "-" for none."""
    machine: str
    """-machine"""
    cpu: str = "max"
    """-cpu under TCG."""
    kvm_cpus: tuple[str, ...] = ("host",)
    """-cpu under KVM, in order of preference."""
    devices: tuple[str, ...] = ()
    """-device, besides virtio."""

    # -- the kernel in a guest
    console: str
    """The first serial port, as console= names it."""
    second_serial: str
    """The device file of the second one."""
    second_serial_device: str = ""
    """The -device that is the second one, where the machine has only one."""
    kernel_arguments: str = ""
    early_console: str = ""
    """Words of the command line that make a kernel print before its console is there."""

    # -- code and registers
    elf_machine: str
    """e_machine of vmlinux, as elftools names it."""
    objdump_machine: str
    """-m of objdump for raw code."""
    program_counter: slice
    """Where the answer to `g` of GDB's remote protocol has it, in hexadecimal digits."""
    byte_order: Literal["little", "big"] = "little"
    code_lines: Callable[[Loaded], list[tuple[int, bytes]]] | None = None
    """Finds line numbers in code, which do not make another kernel; None if that is not known.

    A function of a module: other processes import it.
    """

    @property
    def image_name(self) -> str:
        """The image's file name, also in the store."""
        return PurePath(self.image).name

    def is_native(self) -> bool:
        """Whether this host is of this architecture."""
        return platform.machine() in self.host_machines
