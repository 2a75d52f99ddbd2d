"""The commits that the demo is about, and where in the history they stand."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_kbisect.demo.change import Change, Edit

TOTAL = 128
"""Commits above the first one, the merge among them."""
LEAST = 120
"""With fewer, the tree is too unlike those that the edits were written for."""


@dataclass(frozen=True, slots=True)
class Bug:
    """A bug that Linux had once, and how to bring it back.

    `reproducer` is a file of this package, `crash` the title of what it brings about. `preparation` is what
    the first commit changes, so that `culprit` can do harm.
    """

    reproducer: str
    crash: str
    preparation: Change
    culprit: Change


@dataclass(frozen=True, slots=True)
class Mishap:
    """A commit whose kernel cannot be tested, and the one that repairs it."""

    broken: Change
    repair: Change


_TUN = Bug(
    "tun_napi_frags.c",
    "WARNING in pskb_expand_head",
    Change(
        "tun: any length is allowed",
        # The length of a write() reaches the allocator of skb heads.
        (Edit("drivers/net/tun.c", r" \|\|\s+len > \(ETH_MAX_MTU[^)]*\)\)", ")", pattern=True),),
        "tun_napi_alloc_frags() takes any length here, so that the allocator is the\n"
        "last to object to a long one.",
        otherwise=(
            # Before the length was checked at all.
            (
                Edit(
                    "drivers/net/tun.c",
                    "it->nr_segs > MAX_SKB_FRAGS + 1)\n\t\treturn ERR_PTR(-EMSGSIZE);",
                    None,
                ),
            ),
        ),
    ),
    Change(
        "net: skbuff: do not hide failures of kmalloc_reserve()",
        (
            Edit(
                "net/core/skbuff.c",
                r"(kmalloc_node_track_caller\((?:obj_)?size,\s+flags \| __GFP_NOMEMALLOC) \| __GFP_NOWARN,",
                r"\1,",
                pattern=True,
            ),
        ),
        "The first attempt to allocate an skb's head is made with __GFP_NOWARN, as\n"
        "there is a second one with access to the reserves. Most callers are not\n"
        "entitled to those, so for them the first attempt is the only one, and when\n"
        "it fails nothing in the log says so.\n\n"
        "Let it speak up. Callers that expect failures pass __GFP_NOWARN themselves.",
        ("Reviewed-by: Sabine Oberhuber <sabine.oberhuber@example.org>",),
    ),
)

_SAMPLE_RATE = r'("perf_event_max_sample_rate",[^}]*?)\t\t\.extra1\s*= SYSCTL_ONE,\n'


def _perf(handler: str) -> Bug:
    """Without the lower limit of 723478c8a471, where the function of this name divides by the rate."""
    return Bug(
        "perf_sample_rate.sh",
        f"divide error in {handler}",
        Change(
            "perf: nothing to prepare",
            (Edit("kernel/events/core.c", f"int {handler}(", None),),
            "The tree is as it was released.",
        ),
        Change(
            "perf: let the sample rate be set freely",
            (Edit("kernel/events/core.c", _SAMPLE_RATE, r"\1", pattern=True),),
            "A limit of one sample a second is as arbitrary as any other, and the CPU\n"
            "time that sampling may take has a limit of its own.",
            ("Reviewed-by: Jomo Kariithi <jomo.kariithi@example.org>",),
            otherwise=((Edit("kernel/sysctl.c", _SAMPLE_RATE, r"\1", pattern=True),),),
        ),
    )


BUGS = (_TUN, _perf("perf_event_max_sample_rate_handler"), _perf("perf_proc_update_handler"))
"""The demo's bug is the first one that can be had in a tree."""

_UMASK = Mishap(
    Change(
        "umh: give the umask of helpers a name",
        (Edit("kernel/umh.c", "umask = 0022;", "umask = UMH_UMASK;"),),
        "0022 stands for too many things.",
    ),
    Change(
        "umh: define UMH_UMASK",
        (
            Edit(
                "kernel/umh.c",
                "static DECLARE_RWSEM(umhelper_sem);\n",
                "#define UMH_UMASK\t0022\nstatic DECLARE_RWSEM(umhelper_sem);\n",
            ),
        ),
        "It was lost in a rebase: the file does not compile without it.",
        ('Fixes: "umh: give the umask of helpers a name"',),
    ),
)

_MAY_WRITE = "bool sk_stream_may_write(const struct sock *sk)"
_STREAM = Mishap(
    Change(
        "net: stream: ask one function whether there is room",
        (
            Edit(
                "net/core/stream.c",
                "/**\n * sk_stream_write_space -",
                f"extern {_MAY_WRITE};\n\n/**\n * sk_stream_write_space -",
            ),
            Edit(
                "net/core/stream.c",
                "__sk_stream_is_writeable(sk, 1) && sock",
                "sk_stream_may_write(sk) && sock",
            ),
        ),
        "Other callers will follow.",
    ),
    Change(
        "net: stream: add the function that tells whether there is room",
        (
            Edit(
                "net/core/stream.c",
                f"extern {_MAY_WRITE};\n",
                f"static {_MAY_WRITE}\n{{\n\treturn __sk_stream_is_writeable(sk, 1);\n}}\n",
            ),
        ),
        "The kernel does not link without it.",
        ('Fixes: "net: stream: ask one function whether there is room"',),
    ),
)
_PRECISION = Mishap(
    Change(
        "init: calibrate: name the precision after what is measured",
        (Edit("init/calibrate.c", "#define LPS_PREC 8", "#define LPJ_PREC 8"),),
        "Loops are counted per jiffy, not per second.",
    ),
    Change(
        'Revert "init: calibrate: name the precision after what is measured"',
        (Edit("init/calibrate.c", "#define LPJ_PREC 8", "#define LPS_PREC 8"),),
        "The name is used further down: the file does not compile.",
    ),
)

_PANIC = Mishap(
    Change(
        "init: check first that nothing was put off",
        (Edit("init/main.c", r"if \(panic_later\)(\s+panic\()", r"if (!panic_later)\1", pattern=True),),
        "The usual case should be the first to be looked at.",
    ),
    Change(
        'Revert "init: check first that nothing was put off"',
        (Edit("init/main.c", r"if \(!panic_later\)(\s+panic\()", r"if (panic_later)\1", pattern=True),),
        "It is the wrong way round: no kernel starts.",
    ),
)
_CPUMASK = "alloc_cpumask_var(&wq_unbound_cpumask, GFP_KERNEL)"
_WORKQUEUE = Mishap(
    Change(
        "workqueue: be strict about the mask of unbound workqueues",
        (Edit("kernel/workqueue.c", f"BUG_ON(!{_CPUMASK});", f"BUG_ON({_CPUMASK});"),),
        "As the other masks are.",
    ),
    Change(
        'Revert "workqueue: be strict about the mask of unbound workqueues"',
        (Edit("kernel/workqueue.c", f"BUG_ON({_CPUMASK});", f"BUG_ON(!{_CPUMASK});"),),
        "It is the wrong way round: no kernel starts.",
    ),
)

DO_NOT_BUILD = (_UMASK, _STREAM, _PRECISION)
"""The first two that fit a tree are made."""
DO_NOT_BOOT = (_PANIC, _WORKQUEUE)
"""The first one that fits a tree is made."""

FORK = 21
"""The side branch leaves the main line after so many of its commits..."""
MERGE = 92
"""...and is merged as the one with this place, counted from 0."""
SIDE_LENGTH = 20

# What does not build or boot stands where a bisection is likely to look: the first question after the
# two ends goes to the middle of the range.
UNBUILDABLE = ((62, 64), (71, 72))
"""Where on the main line, counted from 0, the build breaks, and where it is repaired."""
UNBOOTABLE = (81, 82)
"""Likewise for the boot."""
CULPRIT = 76
"""The place of the commit that the bisection must find."""
WORDS = 10
"""Commits that change no kernel..."""
WORDS_EVERY = 11
"""...and so far apart they are on the main line."""
