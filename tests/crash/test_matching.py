"""Which crashes are one bug."""

from __future__ import annotations

import pytest

from pytest_kbisect.crash import CrashReport, same_bug

TRACE = (("dump_stack", "kasan_report", "kbx_inner", "kbx_outer", "kbx_ioctl"),)


@pytest.mark.parametrize(
    ("report", "reference", "kind"),
    [
        (CrashReport("WARNING in a"), CrashReport("WARNING in a"), "match"),
        (
            CrashReport("KASAN: use-after-free Read in a", ("bad-access in a",)),
            CrashReport("general protection fault in a", ("bad-access in a",)),
            "match",
        ),
        (
            CrashReport("KASAN: use-after-free Read in a"),
            CrashReport("KASAN: use-after-free Write in a"),
            "match",
        ),
        (
            CrashReport("WARNING: refcount bug in refcount_sub_and_test"),
            CrashReport("WARNING: refcount bug in refcount_sub_and_test_checked"),
            "related",
        ),
        (CrashReport("kernel BUG at ADDR"), CrashReport("kernel BUG at NUM"), "related"),
        (
            CrashReport("KASAN: use-after-free Read in kbx_inner", frames=TRACE),
            CrashReport("KASAN: use-after-free Read in kbx_outer"),
            "related",
        ),
        (CrashReport("WARNING in corrupted"), CrashReport("WARNING in a"), "related"),
        (CrashReport("WARNING in a"), CrashReport("WARNING in b"), "unrelated"),
        (CrashReport("INFO: task hung in corrupted"), CrashReport("WARNING in a"), "unrelated"),
        (CrashReport("lost connection to test machine"), CrashReport("WARNING in a"), "unrelated"),
        (CrashReport("INFO: task hung in a"), CrashReport("KASAN: use-after-free Read in b"), "unrelated"),
        (
            CrashReport("WARNING in a", report=" a+0x1/0x2 drivers/misc/kbx.c:1"),
            CrashReport("WARNING in b", report=" b+0x1/0x2 drivers/misc/kbx.c:9"),
            "related",
        ),
    ],
)
def test_same_bug(report, reference, kind):
    match = same_bug(report, reference)
    assert match.kind == kind
    assert match.reason
    assert same_bug(reference, report).kind == kind
