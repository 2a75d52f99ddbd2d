"""Everything that depends on the architecture of the processor, as one table entry."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_kbisect.arch.trouble import Trouble
    from pytest_kbisect.kernel.loaded import Loaded


@dataclass(frozen=True, slots=True)
class Compat:
    """How an architecture's kernels run programs of its 32-bit predecessor."""

    name: str
    """What that one is called."""
    compiler_flags: tuple[str, ...]
    """Flags that make the compiler generate its code."""
    packages: tuple[str, ...]
    """Debian's packages of its C library."""
    config: str
    """The configuration line without which the kernel does not run its programs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """All facts of one architecture. Paths are relative to the top of a kernel tree or its O= folder."""

    name: str
    """The output of `uname -m`; also the value of --kbisect-arch."""
    aliases: tuple[str, ...] = ()
    """Other names that --kbisect-arch accepts."""
    host_machines: tuple[str, ...]
    """The output of `uname -m` on hosts that need no cross compiler and no emulation."""

    # -- kbuild
    kbuild: str
    """The value of ARCH= for make."""
    source_folder: str
    """The architecture's folder below arch/."""
    target: str
    """The make target."""
    image: str
    """The file that QEMU boots."""
    packed: str = ""
    """Pattern of the compressed files, one of which must be contained in the image; "" to trust make."""
    boot_folders: tuple[str, ...] = ()
    """Folders whose objects are not in vmlinux."""
    cross_prefix: str = ""
    """Prefix of the compiler and the linker on other hosts."""
    cross_packages: tuple[str, ...] = ()
    """Debian's packages of the cross tools."""
    debian: str = ""
    """Debian's name of it. Guests on other hosts get their user space from Debian's packages; "" for none."""
    debian_suite: str = ""
    """The first suite of Debian that has it, if it is a recent one."""
    macro: str = ""
    """A macro that compilers for it predefine; "" to accept any compiler."""
    compiler_flags: tuple[str, ...] = ()
    """Flags that a compiler for several architectures needs."""
    compat: Compat | None = None
    """Programs of 32 bits; None if not implemented."""
    clang_target: str = ""
    """--target= of clang, which generates code for all architectures."""
    config: str = ""
    """Configuration lines that guests need only on this architecture. They are checked after configuring."""
    wanted_config: str = ""
    """Configuration lines that improve guests, if a kernel has them. They are not checked."""
    compiler_troubles: tuple[Trouble, ...] = ()

    # -- QEMU
    qemu: str
    qemu_packages: Mapping[str, str]
    """Packages of QEMU, by "debian" and by other distributions if they differ; "-" if there is no package."""
    machine: str
    """-machine."""
    cpu: str = "max"
    """-cpu under TCG."""
    kvm_cpus: tuple[str, ...] = ("host",)
    """-cpu under KVM, in order of preference."""
    devices: tuple[str, ...] = ()
    """-device, in addition to virtio devices."""

    # -- the kernel in a guest
    console: str
    """The first serial port, as named in console=."""
    second_serial: str
    """The device file of the second serial port."""
    second_serial_device: str = ""
    """The -device that adds it, if the machine has only one port."""
    kernel_arguments: str = ""
    early_console: str = ""
    """Kernel arguments that make a kernel print before its console is initialized."""

    # -- code and registers
    elf_machine: str
    """e_machine of vmlinux, as named by elftools."""
    objdump_machine: str
    """The value of objdump's -m for raw code."""
    program_counter: slice
    """Position of the program counter in the reply to `g` of GDB's remote protocol, in hexadecimal digits."""
    byte_order: Literal["little", "big"] = "little"
    debug_registers: int = 4
    """Breakpoints that a processor has, apart from those in memory. arm64 has two at least, most have six."""
    code_lines: Callable[[Loaded], list[tuple[int, bytes]]] | None = None
    """Finds line numbers in code. They do not make a different kernel. None if not implemented.

    It must be a function at the top level of a module, because other processes import it.
    """

    @property
    def image_name(self) -> str:
        """The image's file name, also in the store."""
        return PurePath(self.image).name

    def is_native(self) -> bool:
        """Whether this host has this architecture."""
        return platform.machine() in self.host_machines
