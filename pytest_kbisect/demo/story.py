"""The commits that the demo is about, and where in the history they stand."""

from __future__ import annotations

from pytest_kbisect.demo.change import Change, Edit

TOTAL = 128
"""Commits above the first one, the merge among them."""
LEAST = 120
"""With fewer, the tree is too unlike the 6.1.y that the edits were written for."""

PREPARATION = Edit(
    # Without this check the length of a write() reaches the allocator of skb heads.
    "drivers/net/tun.c",
    r" \|\|\s+len > \(ETH_MAX_MTU[^)]*\)\)",
    ")",
    pattern=True,
)
"""What the first commit lacks of the distribution's tree, so that the culprit can do harm."""

CULPRIT = Change(
    "net: skbuff: do not hide failures of kmalloc_reserve()",
    (
        Edit(
            "net/core/skbuff.c",
            "flags | __GFP_NOMEMALLOC | __GFP_NOWARN,",
            "flags | __GFP_NOMEMALLOC,",
        ),
    ),
    "The first attempt to allocate an skb's head is made with __GFP_NOWARN, as\n"
    "there is a second one with access to the reserves. Most callers are not\n"
    "entitled to those, so for them the first attempt is the only one, and when\n"
    "it fails nothing in the log says so.\n\n"
    "Let it speak up. Callers that expect failures pass __GFP_NOWARN themselves.",
    ("Reviewed-by: Sabine Oberhuber <sabine.oberhuber@example.org>",),
)
"""The commit that the bisection must find."""

_UMASK = Change(
    "umh: give the umask of helpers a name",
    (Edit("kernel/umh.c", "umask = 0022;", "umask = UMH_UMASK;"),),
    "0022 stands for too many things.",
)
_UMASK_FIX = Change(
    "umh: define UMH_UMASK",
    (
        Edit(
            "kernel/umh.c",
            "#define CAP_PI\t\t(void *)2\n",
            "#define CAP_PI\t\t(void *)2\n#define UMH_UMASK\t0022\n",
        ),
    ),
    "It was lost in a rebase: the file does not compile without it.",
    ('Fixes: "umh: give the umask of helpers a name"',),
)

_MAY_WRITE = "bool sk_stream_may_write(const struct sock *sk)"
_STREAM = Change(
    "net: stream: ask one function whether there is room",
    (
        Edit(
            "net/core/stream.c",
            "/**\n * sk_stream_write_space -",
            f"extern {_MAY_WRITE};\n\n/**\n * sk_stream_write_space -",
        ),
        Edit(
            "net/core/stream.c", "__sk_stream_is_writeable(sk, 1) && sock", "sk_stream_may_write(sk) && sock"
        ),
    ),
    "Other callers will follow.",
)
_STREAM_FIX = Change(
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
)

_PANIC = Change(
    "init: check first that nothing was put off",
    (Edit("init/main.c", r"if \(panic_later\)(\s+panic\()", r"if (!panic_later)\1", pattern=True),),
    "The usual case should be the first to be looked at.",
)
_PANIC_FIX = Change(
    'Revert "init: check first that nothing was put off"',
    (Edit("init/main.c", r"if \(!panic_later\)(\s+panic\()", r"if (panic_later)\1", pattern=True),),
    "It is the wrong way round: no kernel starts.",
)

FORK = 21
"""The side branch leaves the main line after so many of its commits..."""
MERGE = 92
"""...and is merged as the one with this place, counted from 0."""
SIDE_LENGTH = 20

# What does not build or boot stands where a bisection is likely to look: the first question after the
# two ends goes to the middle of the range.
PLACES = {
    81: _PANIC,
    82: _PANIC_FIX,
    62: _UMASK,
    64: _UMASK_FIX,
    71: _STREAM,
    72: _STREAM_FIX,
    76: CULPRIT,
}
"""The places of these commits on the main line, counted from 0."""

UNBUILDABLE = (62, 63, 71)
"""Places on the main line whose kernels cannot be built: the stretch until a fix."""
UNBOOTABLE = (81,)
WORDS_EVERY = 11
"""So far apart are the commits that change no kernel."""
