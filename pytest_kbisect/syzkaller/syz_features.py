"""What a syz program needs of a kernel's configuration: by its options, and by its pseudo system calls.

syzkaller checks these in the guest and leaves out, without a word, what the kernel does not have
(pkg/host/features_linux.go, since 2024 pkg/vminfo and executor/executor_runner.h). The program then runs
without the devices that it was found with. So the configuration is checked here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_kbisect.syzkaller.syz_header import SyzOptions
    from pytest_kbisect.syzkaller.syz_program import Call

ENABLED_AS: Final = {
    "tun": "tun",
    "netdev": "net_dev",
    "resetnet": "net_reset",
    "cgroups": "cgroups",
    "binfmt_misc": "binfmt_misc",
    "close_fds": "close_fds",
    "kcsan": "kcsan",
    "devlinkpci": "devlink_pci",
    "nicvf": "nic_vf",
    "usb": "usb",
    "vhci": "vhci",
    "wifi": "wifi",
    "ieee802154": "ieee802154",
    "sysctl": "sysctl",
    "swap": "swap",
}
"""Options, and the names of the same features for -enable (pkg/vminfo/features)."""

_NETDEVS: Final = (
    *("DUMMY", "VETH", "BRIDGE", "BONDING", "NET_TEAM", "MACVLAN", "IPVLAN", "VLAN_8021Q", "NETDEVSIM"),
    *("BATMAN_ADV", "VXLAN", "GENEVE", "IFB", "HSR", "NLMON", "VCAN"),
)
_OPTION_NEEDS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "tun": (("TUN",),),
    "netdev": (_NETDEVS,),
    "cgroups": (("CGROUPS",),),
    "binfmt_misc": (("BINFMT_MISC",),),
    "kcsan": (("KCSAN",),),
    "usb": (("USB_RAW_GADGET",), ("USB_DUMMY_HCD",)),
    "vhci": (("BT_HCIVHCI",),),
    "wifi": (("MAC80211_HWSIM",),),
    "ieee802154": (("IEEE802154_HWSIM",),),
    "swap": (("SWAP",),),
    "leak": (("DEBUG_KMEMLEAK",),),
}
"""Symbols that an option needs: one of each group. PCI devices (devlinkpci, nicvf) are not a matter of the
configuration: no guest of syzbot's has them, and syzkaller enables both by default."""
_SANDBOX_NEEDS: Final = {
    "namespace": (("USER_NS",), ("NET_NS",), ("PID_NS",)),
    "setuid": (),
    "android": (("SECURITY_SELINUX",),),
}
_FAULT_NEEDS: Final = (("FAULT_INJECTION",), ("FAULT_INJECTION_DEBUG_FS",), ("FAILSLAB",))
_CALL_NEEDS: Final = (
    (("syz_emit_ethernet", "syz_extract_tcp_res"), (("TUN",),)),
    (("syz_emit_vhci",), (("BT_HCIVHCI",),)),
    (("syz_80211_",), (("MAC80211_HWSIM",),)),
    (("syz_usb_",), (("USB_RAW_GADGET",), ("USB_DUMMY_HCD",))),
    (("syz_mount_image", "syz_read_part_table"), (("BLK_DEV_LOOP",),)),
    (("syz_kvm_",), (("KVM",),)),
    (("syz_fuse_",), (("FUSE_FS",),)),
    (("syz_io_uring_",), (("IO_URING",),)),
    (("syz_btf_",), (("DEBUG_INFO_BTF",),)),
    (("syz_init_net_socket$bt_", "openat$vhci"), (("BT",),)),
)
"""Beginnings of the names of calls, and what these need."""


def enabled(options: SyzOptions, known: Iterable[str]) -> str:
    """The value for -enable: what the options have, of the features that this syz-execprog knows."""
    names = set(known)
    return ",".join(name for option, name in ENABLED_AS.items() if name in names and getattr(options, option))


def lacking(options: SyzOptions | None, calls: Iterable[Call], configuration: str) -> str:
    """What a kernel of this configuration (a .config) lacks of what a program needs; "" for nothing.

    Only what is built in counts: syzkaller loads no modules.
    """
    lines = frozenset(configuration.splitlines())
    for needed_by, symbols in _needs(options, calls):
        if not any(f"CONFIG_{symbol}=y" in lines for symbol in symbols):
            names = " or ".join(f"CONFIG_{symbol}" for symbol in symbols[:3])
            module = next((one for one in symbols if f"CONFIG_{one}=m" in lines), "")
            built = f" (CONFIG_{module} is a module, and syzkaller loads none)" if module else ""
            return f"the kernel lacks {names}{built}, which {needed_by} needs"
    return ""


def absent_options(options: SyzOptions, configuration: str) -> tuple[str, ...]:
    """The options that a kernel of this configuration cannot have, whatever the program does with them."""
    lines = frozenset(configuration.splitlines())
    return tuple(
        option
        for option, groups in _OPTION_NEEDS.items()
        if getattr(options, option)
        and not all(any(f"CONFIG_{symbol}=y" in lines for symbol in symbols) for symbols in groups)
    )


def _needs(options: SyzOptions | None, calls: Iterable[Call]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Pairs of what needs something, and the symbols of which one must be there."""
    calls = tuple(calls)
    if options is not None:
        for option, groups in _OPTION_NEEDS.items():
            if getattr(options, option):
                yield from ((f"the option {option!r}", symbols) for symbols in groups)
        for symbols in _SANDBOX_NEEDS.get(options.sandbox, ()):
            yield f"the sandbox {options.sandbox!r}", symbols
    if (options is not None and options.injects_fault) or any(call.fail_nth for call in calls):
        yield from (("the injection of a fault", symbols) for symbols in _FAULT_NEEDS)
    for beginnings, groups in _CALL_NEEDS:
        if user := next((call.name for call in calls if call.name.startswith(beginnings)), ""):
            yield from ((f"the call {user}", symbols) for symbols in groups)
