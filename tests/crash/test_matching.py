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
        # A title stands for what reports of its format say by an alternative title, whoever wrote it down.
        (
            CrashReport("UBSAN: array-index-out-of-bounds in a"),
            CrashReport("KFENCE: out-of-bounds read in a"),
            "match",
        ),
        (
            CrashReport("BUG: corrupted list in a"),
            CrashReport("KASAN: slab-use-after-free Write in a"),
            "match",
        ),
        (CrashReport("KMSAN: use-after-free in a"), CrashReport("general protection fault in a"), "match"),
        (
            CrashReport("kernel stack overflow in a"),
            CrashReport("BUG: stack guard page was hit in a"),
            "match",
        ),
        (
            CrashReport("UBSAN: shift-out-of-bounds in a"),
            CrashReport("KASAN: slab-out-of-bounds Read in a"),
            "related",
        ),
        (CrashReport("KFENCE: memory corruption in a"), CrashReport("KFENCE: invalid free in a"), "related"),
        # The same fault in an older kernel's words, and in syzbot's of its first years.
        (
            CrashReport("INFO: suspicious RCU usage in a"),
            CrashReport("WARNING: suspicious RCU usage in a"),
            "match",
        ),
        (CrashReport("BUG: held lock freed in a"), CrashReport("WARNING: held lock freed in a"), "match"),
        (
            CrashReport("KASAN: double-free or invalid-free in a"),
            CrashReport("KASAN: invalid-free in a"),
            "match",
        ),
        (
            CrashReport("WARNING in __alloc_frozen_pages_noprof"),
            CrashReport("WARNING in __alloc_pages"),
            "related",
        ),
        (CrashReport("WARNING in do_kbx_find"), CrashReport("WARNING in kbx_find"), "related"),
        (CrashReport("INFO: task hung in corrupted"), CrashReport("WARNING in a"), "unrelated"),
        (CrashReport("lost connection to test machine"), CrashReport("WARNING in a"), "unrelated"),
        (CrashReport("INFO: task hung in a"), CrashReport("KASAN: use-after-free Read in b"), "unrelated"),
        (
            CrashReport("WARNING in a", report=" a+0x1/0x2 drivers/misc/kbx.c:1"),
            CrashReport("WARNING in b", report=" b+0x1/0x2 drivers/misc/kbx.c:9"),
            "related",
        ),
        # Names that changed with the kernel or the build.
        (CrashReport("WARNING in __kbx_alloc_noprof"), CrashReport("WARNING in kbx_alloc"), "related"),
        (CrashReport("WARNING in kbx_put.part.0"), CrashReport("WARNING in kbx_put"), "related"),
        (CrashReport("WARNING in kbx_end_folio"), CrashReport("WARNING in kbx_end_page"), "related"),
        (
            CrashReport("INFO: task hung in SyS_reboot"),
            CrashReport("INFO: task hung in __do_sys_reboot"),
            "related",
        ),
        (
            CrashReport("KASAN: use-after-free Read in kbx802154_x"),
            CrashReport("KASAN: use-after-free Read in kbx8NUM_x"),
            "related",
        ),
        (
            CrashReport("general protection fault in kbx_decl_tag_resolve"),
            CrashReport("general protection fault in kbx_tag_resolve"),
            "related",
        ),
        (CrashReport("WARNING in kbx_read"), CrashReport("WARNING in kbx_read_page"), "unrelated"),
        # Words of the detector that changed: 6.3 says slab- of what was freed.
        (
            CrashReport("KASAN: slab-use-after-free Read in a"),
            CrashReport("KASAN: use-after-free Read in a"),
            "match",
        ),
        # A title by the oops line, and one by a function that is no key frame here.
        (
            CrashReport(
                "kernel BUG in kbx_iget",
                report="kernel BUG at fs/kbx/inode.c:77!\nRIP: 0010:kbx_iget+0x1/0x2",
            ),
            CrashReport("kernel BUG at fs/kbx/inode.c:LINE!"),
            "related",
        ),
        (
            CrashReport(
                "WARNING in kbx_send",
                frames=(("queue_work_on", "kbx_send", "kbx_ioctl"),),
                report="WARNING: kbx.c:1\nRIP: 0010:__queue_work+0x1/0x2\nCall Trace:\n queue_work_on+0x1/0x2\n kbx_send+0x1/0x2\n",
            ),
            CrashReport("WARNING in __queue_work"),
            "related",
        ),
        # Callers of the key frame are not it.
        (
            CrashReport(
                "WARNING in kbx_send", report="RIP: 0010:kbx_send+0x1/0x2\nCall Trace:\n kbx_ioctl+0x1/0x2\n"
            ),
            CrashReport("WARNING in kbx_ioctl"),
            "unrelated",
        ),
        (
            CrashReport("BUG: using smp_processor_id() in preemptible code in a"),
            CrashReport("BUG: using smp_processor_id() in preemptible code in b"),
            "unrelated",
        ),
        # What a stall leads to.
        (
            CrashReport("INFO: task hung in synchronize_rcu"),
            CrashReport("INFO: rcu detected stall in kbx_loop"),
            "related",
        ),
        (
            CrashReport("INFO: task hung in kbx_read"),
            CrashReport("INFO: rcu detected stall in kbx_loop"),
            "unrelated",
        ),
        # A timer that is freed while it runs is used afterwards; so says ODEBUG, or KASAN.
        (
            CrashReport(
                "WARNING: ODEBUG bug in kbx_probe", frames=(("debug_print_object", "kbx_probe", "kbx_find"),)
            ),
            CrashReport("KASAN: slab-use-after-free Read in kbx_find"),
            "related",
        ),
        # The same cycle of locks, entered elsewhere.
        (
            CrashReport(
                "possible deadlock in kbx_a", report="-> #1:\n _raw_spin_lock+0x1/0x2\n kbx_b+0x1/0x2\n"
            ),
            CrashReport("possible deadlock in kbx_b"),
            "related",
        ),
        # A cut report can be what has its headline; another check is another bug.
        (CrashReport("WARNING in corrupted"), CrashReport("kernel BUG in kbx_iget"), "unrelated"),
        (
            CrashReport("KASAN: use-after-free Read in corrupted"),
            CrashReport("general protection fault in a"),
            "related",
        ),
        # Files that everybody calls are nobody's guilt.
        (
            CrashReport("WARNING: refcount bug in a", report=" f+0x1/0x2 lib/refcount.c:28"),
            CrashReport("WARNING: refcount bug in b", report=" f+0x1/0x2 lib/refcount.c:28"),
            "unrelated",
        ),
    ],
)
def test_same_bug(report, reference, kind):
    match = same_bug(report, reference)
    assert match.kind == kind
    assert match.reason
    assert same_bug(reference, report).kind == kind
