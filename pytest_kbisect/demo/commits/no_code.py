"""Commits that change no kernel: documentation, and comments within their line. Ten that fit are used."""

from __future__ import annotations

from pytest_kbisect.demo.change import Edit, change

CHANGES = (
    change(
        "Documentation: bug-hunting: greet the reader",
        "Documentation/admin-guide/bug-hunting.rst",
        "Bug hunting\n===========",
        "Hunting bugs\n============",
        "A title with a verb, as its neighbours have.",
    ),
    change(
        "mm: vmscan: spell out a range in a comment",
        "mm/vmscan.c",
        "* From 0 .. 200.  Higher means more swappy.",
        "* From 0 to 200.  Higher means more swappy.",
        "Two dots are a range in shells only.",
        Edit("mm/vmscan.c", "* From 0 .. MAX_SWAPPINESS.", "* From 0 to MAX_SWAPPINESS."),
    ),
    change(
        "Documentation: bug-bisect: say that it works",
        "Documentation/admin-guide/bug-bisect.rst",
        "Bisecting a bug\n+++++++++++++++",
        "How to bisect a bug\n+++++++++++++++++++",
        "It does.",
        Edit(
            "Documentation/admin-guide/bug-bisect.rst",
            "======================\nBisecting a regression\n======================",
            "==========================\nHow to bisect a regression\n==========================",
        ),
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
    change(
        "Documentation: sysrq: a shorter title",
        "Documentation/admin-guide/sysrq.rst",
        "Linux Magic System Request Key Hacks\n====================================",
        "The Magic System Request Key\n============================",
        "Nothing about it is a hack any more.",
    ),
    change(
        "kernel: range: fix a comment",
        "kernel/range.c",
        " * Range add and subtract",
        " * Add and subtract ranges",
        "No change in behaviour.",
    ),
    change(
        "Documentation: tainted-kernels: greet the reader",
        "Documentation/admin-guide/tainted-kernels.rst",
        "Tainted kernels\n---------------",
        "What taints a kernel\n--------------------",
        "The question that leads people there.",
    ),
    change(
        "net: link_watch: fix a comment",
        "net/core/link_watch.c",
        " * Linux network device link state notification",
        " * Notification about the link state of network devices",
        "No change in behaviour.",
    ),
    change(
        "Documentation: ramoops: use the sentence case",
        "Documentation/admin-guide/ramoops.rst",
        "Ramoops oops/panic logger\n=========================",
        "Ramoops, a logger of oopses and panics\n======================================",
        "Easier to read aloud.",
    ),
    change(
        "mm: mempool: fix a comment",
        "mm/mempool.c",
        "memory buffer pool support. Such pools are mostly used",
        "support of memory buffer pools. They are mostly used",
        "No change in behaviour.",
    ),
)
