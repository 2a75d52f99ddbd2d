"""64-bit RISC-V: kbuild's Image on QEMU's virt machine, with the firmware that QEMU brings (OpenSBI)."""

from __future__ import annotations

from typing import Final

from pytest_kbisect.arch.architecture import Architecture

RISCV64: Final = Architecture(
    name="riscv64",
    aliases=("riscv",),
    host_machines=("riscv64",),
    kbuild="riscv",
    source_folder="riscv",
    target="Image",
    image="arch/riscv/boot/Image",
    boot_folders=("arch/riscv/boot/",),
    cross_prefix="riscv64-linux-gnu-",
    cross_packages=("gcc-riscv64-linux-gnu", "libc6-dev-riscv64-cross"),
    debian="riscv64",
    debian_suite="trixie",
    macro="__riscv",
    clang_target="riscv64-linux-gnu",
    # Of 5.10, tinyconfig leaves out the MMU; of all, the floating point that user space is compiled for.
    config="""
        CONFIG_ARCH_RV64I=y
        CONFIG_MMU=y
        CONFIG_FPU=y
        CONFIG_SERIAL_8250=y
        CONFIG_SERIAL_8250_CONSOLE=y
        CONFIG_SERIAL_OF_PLATFORM=y
        CONFIG_SERIAL_8250_PCI=y
        CONFIG_PCI_HOST_GENERIC=y
    """,
    # Names that came and went: the machine, its reset and its clock.
    wanted_config="""
        CONFIG_SOC_VIRT=y
        CONFIG_ARCH_VIRT=y
        CONFIG_RISCV_ISA_C=y
        CONFIG_POWER_RESET=y
        CONFIG_POWER_RESET_SYSCON=y
        CONFIG_RTC_CLASS=y
        CONFIG_RTC_DRV_GOLDFISH=y
    """,
    qemu="qemu-system-riscv64",
    qemu_packages={
        "debian": "qemu-system-misc",
        "fedora": "qemu-system-riscv-core",
        "rhel": "-",
        "suse": "qemu-extra",
        "arch": "qemu-system-riscv",
        "alpine": "qemu-system-riscv64",
    },
    machine="virt",
    cpu="rv64",
    console="ttyS0",
    second_serial="/dev/ttyS1",
    second_serial_device="pci-serial",
    early_console="earlycon=sbi",
    elf_machine="EM_RISCV",
    objdump_machine="riscv:rv64",
    program_counter=slice(32 * 16, 33 * 16),  # after x0 to x31
)
