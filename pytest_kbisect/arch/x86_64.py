"""x86-64: kbuild's bzImage on QEMU's q35."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pytest_kbisect.arch.architecture import Architecture, Trouble

if TYPE_CHECKING:
    from pytest_kbisect.kernel.loaded import Loaded

_BOOT: Final = "arch/x86/boot"


def _code_lines(loaded: Loaded) -> list[tuple[int, bytes]]:
    from pytest_kbisect.arch.x86_64_calls import lines

    return lines(loaded, X86_64.objdump_machine)


X86_64: Final = Architecture(
    name="x86_64",
    host_machines=("x86_64",),
    kbuild="x86_64",
    source_folder="x86",
    target="bzImage",
    image=f"{_BOOT}/bzImage",
    packed=f"{_BOOT}/compressed/vmlinux.bin.*",
    boot_folders=(f"{_BOOT}/", "arch/x86/realmode/"),
    cross_prefix="x86_64-linux-gnu-",
    cross_packages=("gcc-x86-64-linux-gnu",),
    config="""
        CONFIG_64BIT=y
        CONFIG_SERIAL_8250=y
        CONFIG_SERIAL_8250_CONSOLE=y
        CONFIG_ACPI=y
    """,
    compiler_troubles=(
        Trouble(
            "gcc",
            (15,),
            (6, 14),
            "ee2ab467bddf",
            f"{_BOOT}/compressed/Makefile",
            re.compile(rb"(?s)\A(?!.*-std=gnu)"),
            "the boot code does not compile as C23, which is this gcc's default",
        ),
    ),
    qemu="qemu-system-x86_64",
    qemu_packages={
        "debian": "qemu-system-x86",
        "fedora": "qemu-system-x86-core",
        "rhel": "-",
        "suse": "qemu-x86",
        "alpine": "qemu-system-x86_64",
    },
    # q35's interrupts need no link devices in the ACPI tables. The ACPI interpreter takes a tenth of a second
    # for each in an emulated guest, so a boot takes a sixth less than on "pc". No disk controller: there is
    # no disk.
    machine="q35,sata=off",
    kvm_cpus=("host", "qemu64"),  # "host" fails on some nested KVMs
    devices=("vmgenid,guid=auto",),
    console="ttyS0",
    second_serial="/dev/ttyS1",
    # On a busy host an emulated guest may miss the ticks with which the kernel checks its timer, and panic.
    # This disables the check.
    kernel_arguments="no_timer_check",
    early_console="earlyprintk=serial",
    elf_machine="EM_X86_64",
    objdump_machine="i386:x86-64",
    program_counter=slice(16 * 16, 17 * 16),  # follows sixteen registers of eight bytes
    code_lines=_code_lines,
)
