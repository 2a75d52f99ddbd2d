"""x86-64: kbuild's bzImage on QEMU's q35."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pytest_kbisect.arch.architecture import Architecture, Compat
from pytest_kbisect.arch.trouble import Argument, Setting, Trouble

if TYPE_CHECKING:
    from pytest_kbisect.arch.trouble import Version
    from pytest_kbisect.kernel.loaded import Loaded

_BOOT: Final = "arch/x86/boot"


def _boot_code(
    repair: str, repaired: Version, path: str, sign: bytes, what: str, symbols: tuple[str, ...] = ()
) -> Trouble:
    """A part of the kernel that is compiled with flags of its own, without a -std."""
    return Trouble(
        "gcc",
        (15,),
        repaired,
        repair,
        path,
        re.compile(sign),
        f"{what} does not compile as C23, which is this gcc's default",
        fatal=not symbols,
        # Those who reset KBUILD_CFLAGS keep these; elsewhere a later -std wins.
        remedies=(Argument("KCPPFLAGS", "-std=gnu11"),),
        symbols=symbols,
    )


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
    debian="amd64",
    macro="__x86_64__",
    compiler_flags=("-m64",),
    compat=Compat("i386", ("-m32",), ("gcc-multilib",), "CONFIG_IA32_EMULATION=y"),
    clang_target="x86_64-linux-gnu",
    config="""
        CONFIG_64BIT=y
        CONFIG_SERIAL_8250=y
        CONFIG_SERIAL_8250_CONSOLE=y
        CONFIG_ACPI=y
    """,
    compiler_troubles=(
        _boot_code(
            "b3bee1e7c3f2",
            (6, 7),
            f"{_BOOT}/compressed/Makefile",
            rb"(?s)\A(?!.*-std=gnu)",
            "the code that unpacks the kernel",
        ),
        _boot_code(
            "ee2ab467bddf",
            (6, 14),
            "arch/x86/Makefile",
            rb"(?m)^REALMODE_CFLAGS\s*:=(?![^\n]*-std=)",
            "the boot code",
        ),
        _boot_code(
            "8ba14d9f490a",
            (6, 14),
            "drivers/firmware/efi/libstub/Makefile",
            rb"(?m)^cflags-\$\(CONFIG_X86(?:_64)?\)\s*[:+]?=(?![^\n]*-std=)[^\n]*-D__KERNEL__",
            "the EFI stub",
            symbols=("EFI_STUB",),
        ),
        Trouble(
            "gcc",
            (9,),
            (5, 3),
            "29be86d7f9cb",
            "Makefile",
            re.compile(rb"(?s)\A(?=.*RETPOLINE_CFLAGS)(?!.*-fcf-protection)"),
            "a gcc that protects branches by default refuses -mindirect-branch",
            fatal=False,
            remedies=(Argument("KCFLAGS", "-fcf-protection=none"),),
            symbols=("RETPOLINE",),
        ),
        Trouble(
            "clang",
            (0,),
            (),
            "aaeed6ecc125",  # ClangBuiltLinux 1141 and 2083
            "arch/x86/Kconfig",
            re.compile(rb"(?m)^config X86_X32(?:_ABI)?$"),
            "the vDSO for x32 does not link with LLVM's tools",
            fatal=False,
            remedies=(Setting("X86_X32_ABI", "n"), Setting("X86_X32", "n")),
            symbols=("X86_X32_ABI",),
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
