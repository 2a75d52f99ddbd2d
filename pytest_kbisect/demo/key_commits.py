"""The key commits of the demo, and their places in the history."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_kbisect.demo.change import Change, Edit

TOTAL = 128
"""The number of commits above the first one, including the merge."""
LEAST = 120
"""With fewer commits, the tree is too different from those that the edits were written for."""


@dataclass(frozen=True, slots=True)
class Bug:
    """A former bug of Linux, and how to reintroduce it.

    `reproducer` is a file of this package, `crash` the title of the crash that it causes. `preparation` is
    the change in the first commit without which `culprit` would be harmless.
    """

    reproducer: str
    crash: str
    preparation: Change
    culprit: Change


@dataclass(frozen=True, slots=True)
class Mishap:
    """A commit whose kernel cannot be tested, and the commit that repairs it."""

    broken: Change
    repair: Change


_TUN = Bug(
    "tun_napi_frags.c",
    "WARNING in pskb_expand_head",
    Change(
        "tun: any length is allowed",
        # So that the length of a write() reaches the allocator of skb heads.
        (Edit("drivers/net/tun.c", r" \|\|\s+len > \(ETH_MAX_MTU[^)]*\)\)", ")", pattern=True),),
        "tun_napi_alloc_frags() takes any length here, so that the allocator is the\n"
        "last to object to a long one.",
        otherwise=(
            # Old kernels do not check the length at all.
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
    """The bug without the lower limit of 723478c8a471: the function of this name divides by the rate."""
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
"""The demo uses the first bug that fits the tree."""

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
"""The demo uses the first two that fit the tree."""
DO_NOT_BOOT = (_PANIC, _WORKQUEUE)
"""The demo uses the first one that fits the tree."""

FORK = 21
"""The side branch starts after this many commits of the main line."""
MERGE = 92
"""The place of the merge on the main line, counted from 0."""
SIDE_LENGTH = 20

# The commits that do not build or boot are where a bisection is likely to test: after the two ends it first
# tests the middle of the range.
UNBUILDABLE = ((62, 64), (71, 72))
"""The places on the main line, counted from 0, where the build breaks and where it is repaired."""
UNBOOTABLE = (81, 82)
"""The places where the boot breaks and where it is repaired."""
CULPRIT = 76
"""The place of the commit that the bisection must find."""
WORDS = 10
"""The number of commits that do not change the kernel."""
WORDS_EVERY = 11
"""The distance between such commits on the main line."""
