"""64-bit Arm: kbuild's Image on QEMU's virt machine."""

from __future__ import annotations

from typing import Final

from pytest_kbisect.arch.architecture import Architecture

ARM64: Final = Architecture(
    name="aarch64",
    aliases=("arm64",),
    host_machines=("aarch64",),
    kbuild="arm64",
    source_folder="arm64",
    target="Image",
    image="arch/arm64/boot/Image",
    boot_folders=("arch/arm64/boot/",),
    cross_prefix="aarch64-linux-gnu-",
    cross_packages=("gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"),
    debian="arm64",
    macro="__aarch64__",
    clang_target="aarch64-linux-gnu",
    config="""
        CONFIG_SERIAL_AMBA_PL011=y
        CONFIG_SERIAL_AMBA_PL011_CONSOLE=y
        CONFIG_SERIAL_8250=y
        CONFIG_SERIAL_8250_PCI=y
        CONFIG_PCI_HOST_GENERIC=y
    """,
    qemu="qemu-system-aarch64",
    qemu_packages={
        "debian": "qemu-system-arm",
        "fedora": "qemu-system-aarch64-core",
        "rhel": "-",
        "suse": "qemu-arm",
        "alpine": "qemu-system-aarch64",
    },
    machine="virt,gic-version=max",
    # "max" has what old kernels do not boot with (52-bit addresses of 4 KiB pages), and emulates pointer
    # authentication slowly.
    cpu="cortex-a72",
    console="ttyAMA0",
    # QEMU before 9.1 gives this machine one serial port.
    second_serial="/dev/ttyS0",
    second_serial_device="pci-serial",
    early_console="earlycon",
    elf_machine="EM_AARCH64",
    objdump_machine="aarch64",
    program_counter=slice(32 * 16, 33 * 16),  # after x0 to x30 and sp
)
