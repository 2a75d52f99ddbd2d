"""Ten commits that change no kernel: documentation, and comments within their line."""

from __future__ import annotations

from pytest_kbisect.demo.change import change

CHANGES = (
    change(
        "Documentation: bug-hunting: greet the reader",
        "Documentation/admin-guide/bug-hunting.rst",
        "Bug hunting\n===========",
        "Hunting bugs\n============",
        "A title with a verb, as its neighbours have.",
    ),
    change(
        "mm: vmscan: mention slabs beside SHRINK_BATCH's users",
        "mm/vmscan.c",
        "* From 0 .. 200.  Higher means more swappy.",
        "* From 0 to 200.  Higher means more swappy.",
        "Two dots are a range in shells only.",
    ),
    change(
        "Documentation: bug-bisect: say that it works",
        "Documentation/admin-guide/bug-bisect.rst",
        "Bisecting a bug\n+++++++++++++++",
        "How to bisect a bug\n+++++++++++++++++++",
        "It does.",
    ),
    change(
        "fs: pipe: fix a comment about the minimum",
        "fs/pipe.c",
        "/* Minimum pipe size, as required by POSIX */",
        "/* The minimum pipe size, required by POSIX */",
        "No change in behaviour.",
    ),
    change(
        "Documentation: kernel-parameters: point to bisecting",
        "Documentation/admin-guide/kernel-parameters.rst",
        "The kernel's command-line parameters\n====",
        "The command-line parameters of the kernel\n=========",
        "The genitive confused two translators.",
    ),
    change(
        "ipv4: inetpeer: fix a comment",
        "net/ipv4/inetpeer.c",
        "/* usual time to live: 10 min */",
        "/* time to live as a rule: some minutes */",
        "The number stands beside it.",
    ),
    change(
        "Documentation: tuntap: name the flag of frags",
        "Documentation/networking/tuntap.rst",
        "Universal TUN/TAP device driver\n====",
        "The universal TUN/TAP device driver\n========",
        "With an article.",
    ),
    change(
        "kernel: async: fix a comment",
        "kernel/async.c",
        "Asynchronous function calls for boot performance",
        "Asynchronous calls of functions for a faster boot",
        "No change in behaviour.",
    ),
    change(
        "Documentation: skbuff: link the allocation",
        "Documentation/networking/skbuff.rst",
        "struct sk_buff\n==============",
        "The struct sk_buff\n==================",
        "Prepares for a second section.",
    ),
    change(
        "tun: spell out a comment",
        "drivers/net/tun.c",
        "/* Exercise flow dissector code path. */",
        "/* Exercise the flow dissector's code. */",
        "No change in behaviour.",
    ),
)
