"""Names of functions, titles, types, and the guilty file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kbisect.crash.cleaning import clean_title
from pytest_kbisect.crash.frames import is_generic, plain_names
from pytest_kbisect.crash.guilty import guilty_file
from pytest_kbisect.crash.kinds import kind_of
from pytest_kbisect.crash.mangling import demangle


@pytest.mark.parametrize(
    ("mangled", "name"),
    [
        ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
        ("_RNvMs_Cs1234_7mycrateNtB4_3Bar4next", "<mycrate::Bar>::next"),
        ("_RNvXCs1234_7mycrateNtB2_3BarNtB2_5Trait3run", "<mycrate::Bar as mycrate::Trait>::run"),
        ("_RINvCs1234_7mycrate3foojE", "mycrate::foo::<usize>"),
        ("_RNvMCs1234_7mycrateINtB2_3BarRShE3get", "<mycrate::Bar::<&[u8]>>::get"),
        ("_ZN4kbx25Queue4pushEi", "kbx2::Queue::push"),
        ("_ZN3kbx5Queue4pushEi", "kbx::Queue::push"),
        ("_ZNK3kbx5Queue4sizeEv", "kbx::Queue::size"),
        ("_Z4pushi", "push"),
        ("_R", "_R"),
        ("_RNvB_3foo", "_RNvB_3foo"),
        ("kbx_push", "kbx_push"),
    ],
)
def test_demangle(mangled, name):
    assert demangle(mangled) == name


@given(st.text(alphabet="CNMXYIBsKLEAST_0123456789abvRZ", max_size=80), st.sampled_from(["_R", "_Z", "_ZN"]))
def test_demangle_anything(text, scheme):
    assert demangle(scheme + text)


@pytest.mark.parametrize(
    ("raw", "title"),
    [
        ("BUG: a at ffff888004b41c18", "BUG: a at ADDR"),
        ("WARNING: kbx+0x12/0x34 failed", "WARNING: kbx failed"),
        ("kernel panic: disk 3 of 12345678", "kernel panic: disk NUM of ADDR"),
        ("a  b\x00\x1fc\xff", "a b c"),
        ("BUG: a in bpf_prog_6deef7357e7b4530", "BUG: a in bpf_prog_ADDR"),
        ("BUG: a in kbx802154_open", "BUG: a in kbx802154_open"),
        ("a: CPU#3, syz-executor.4, 10.0.2.15, kbx.c:12", "a: CPU, syz-executor, IP, kbx.c:LINE"),
        ("x" * 500, "x" * 120),
        (f"a  {'x' * 200}", f"a {'x' * 117}"),
    ],
)
def test_clean_title(raw, title):
    assert clean_title(raw) == title


@given(st.text())
def test_clean_title_is_printable(text):
    title = clean_title(text)
    assert len(title) <= 120
    assert all(" " <= letter <= "~" for letter in title)


def test_plain_names():
    assert plain_names("__x64_sys_mount") == ("sys_mount", "__x64_sys_mount")
    assert plain_names("__se_sys_mremap") == ("mremap", "sys_mremap", "__se_sys_mremap")
    assert plain_names("kbx_open") == ("kbx_open",)


GENERIC = """
    __kmalloc kasan_report _raw_spin_lock_irqsave memcpy list_del dump_stack __queue_work
    ieee80211_queue_work nla_strcmp copy_string_kernel ip6_addr_string lockdown_write
    usermodehelper_read_trylock media_device_unregister device_for_each_child folio_unlock
    kmem_cache_alloc_noprof __flush_workqueue xas_load ida_free drop_nlink truncate_inode_pages_range
    io_lockdep_assert_cq_locked complete dput
    do_raw_spin_lock _raw_write_lock_bh raw_local_irq_restore __raw_readb watchdog_timer_fn check_prev_add
    check_chain_key list_del __list_add_valid_or_report list_splice_tail_init list_is_last
    __wake_up_common_lock __wake_up copy_page_to_iter folio_clear_dirty arch_set_bit arch_atomic_inc down_read
    mutex_lock_nested __mutex_lock rt_mutex_lock __ww_mutex_lock __rt_mutex_slowlock try_to_take_rt_mutex
    crc_itu_t work_is_static_object __filemap_get_folio do_read_cache_folio pagecache_get_page __unregister_client
    nla_strscpy acpi_ut_safe_strncpy nla_memcpy platform_device_add device_release_driver_internal get_user_pages_remote
    extent_buffer_test_bit wb_wait_for_completion finish_dput __wake_up_parent
"""


@pytest.mark.parametrize("name", GENERIC.split())
def test_generic(name):
    assert is_generic(name)


TELLING = """
    kbx_alloc lookup_object sg_read tty_open show_timer free_netdev folio_end_read
    folio_add_new_anon_rmap mempool_alloc pcpu_alloc_noprof __memcg_kmem_charge_page put_page skb_pull
    skb_put prepare_to_wait complete_all cancel_delayed_work flush_delayed_work mod_delayed_work_on
    kvfree_call_rcu usb_bulk_msg __usb_hcd_giveback_urb sched_show_task kcov_remote_start
    touch_wq_lockdep_map try_to_wake_up sock_def_wakeup xa_find crc_ccitt
    do_raw_setsockopt do_rawv6_setsockopt raw_local_deliver watchdog_ping watchdog_cdev_unregister
    check_chainloops check_prev_ino list_netdevice list_version_get_info list_lru_add list_del_event
    wake_up_new_task copy_page_range folio_clear_dirty_for_io ffs_mutex_lock rt_mutex_slowlock_locked
    devres_release_all __mod_timer
    arch_set_cpu_capacity arch_setup_additional_pages clear_page_dirty_for_io clear_page down_and_up_cpus down_timeout
    dynamic_kobj_release irq_work_queue_on bus_add_driver __bitmap_weight _find_next_bit kfence_init kcov_mmap
    free_unref_page __free_pages_ok put_cpu_partial vfree __vunmap lockref_get fault_in_readable wake_up_process
    folio_wait_writeback copy_page sprintf tun_get_user
"""


@pytest.mark.parametrize("name", TELLING.split())
def test_telling(name):
    assert not is_generic(name)


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("KASAN: slab-use-after-free Write in a", "KASAN-USE-AFTER-FREE-WRITE"),
        ("KASAN: slab-out-of-bounds in a", "KASAN-READ"),
        ("KASAN: something new in a", "KASAN-UNKNOWN"),
        ("INFO: task hung in a", "HANG"),
        ("WARNING: refcount bug in a", "REFCOUNT_WARNING"),
        ("WARNING: foo", "WARNING"),
        ("kernel panic: foo", "DoS"),
        ("no output from test machine", "NO_OUTPUT"),
        ("BUG: foo", ""),
    ],
)
def test_kind(title, kind):
    assert kind_of(title) == kind


REPORT = """BUG: KASAN: slab-use-after-free in list_del include/linux/list.h:148 [inline]
 dump_stack_lvl+0x34/0x44 lib/dump_stack.c:106
 kasan_report+0xb3/0x140 mm/kasan/report.c:495
 kbx_core_drop+0x61/0x120 drivers/misc/kbx.c:77
 kbx_pci_remove+0x2b/0x40 drivers/pci/pci-driver.c:12
 __fput+0x102/0x3f0 fs/file_table.c:320
"""


def test_guilty_file():
    assert guilty_file(REPORT) == "drivers/misc/kbx.c"
    assert guilty_file("no location at all") == ""
    assert guilty_file(" kfree+0x1/0x2 mm/slab_common.c:1\n") == "mm/slab_common.c"
    assert guilty_file(" pcpu_alloc_noprof+0x1/0x2 mm/percpu-vm.c:1\n kbx+0x1/0x2 fs/b.c:1\n") == "fs/b.c"
    assert guilty_file(" #0: x, at: kbx+0x1/0x2 fs/a.c:1\n kbx+0x1/0x2 fs/b.c:1\n") == "fs/b.c"


def test_guilty_file_prefers_what_lies_deeper():
    text = " a+0x1/0x2 net/sched/act.c:1\n b+0x1/0x2 net/sched/kbx/q.c:1\n"
    assert guilty_file(text) == "net/sched/kbx/q.c"
