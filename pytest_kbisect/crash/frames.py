"""Which functions of a trace distinguish bugs, and which are generic.

The title of a crash names the function that did wrong. That is rarely the innermost function: above it are
the sanitizer, the allocator, the list or lock primitive that it misused, and the code that prints. The tables
list these generic functions by purpose. ^word matches the beginning of a name (leading underscores are
ignored), =word matches a complete name, and any other word matches anywhere in a name.

Titles are comparable with syzbot's only if both skip the same functions. The tables therefore follow syzbot's
mails of the last years (tests/benchmarks/crash_mails.py reads them). A function that these mails use in
titles is distinctive here, whatever it does: mempool_alloc, put_page, vfree, skb_put. A function that they
skip is generic: ida_free, __queue_work, get_user_pages. Words are narrow enough to spare names that only look
generic: clear_page_dirty_for_io clears no page, down_and_up_cpus takes no semaphore, arch_set_cpu_capacity
sets no bit.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_GENERIC: Final[dict[str, str]] = {
    "sanitizers and coverage": """
        kasan kmsan kcsan ubsan ^kfence_(?:report|print|handle) asan_ hwasan tsan_ msan_ sanitizer_
        ^check_(?:memory_region|region|object|slab|bogus|page_span|stack_object|heap_object|poison) ^memory_is_
        ^object_err ^print_(?:address|report|error|trailer|page|section|track|bad|memory|shadow)
        ^start_report ^end_report ^describe_ ^stack_trace ^save_stack ^save_trace ^set_track
        ^report_(?:bug|suppress|enabled) ^handle_(?:overflow|load_invalid|type_mismatch|misaligned|object_size|null_ptr)
        ^val_to_string ^addr_has ^phys_addr ^init_object ^setup_object
    """,
    "printing, warning, dying": """
        panic ^dump_(?:stack|backtrace|page|header|trace|mem) ^panic ^nmi_panic ^check_panic ^print_tainted ^get_taint ^add_taint
        ^show_(?:stack|trace|mem$|free_areas)
        ^warn(?:_slowpath|_alloc|_on|_bogus|$) =__WARN_trap ^die(?:_|$) ^oops ^bug$ ^handle_bug ^is_valid_bug ^fixup_(?:bug|exception) ^search_exception ^bad_page
        ^assfail assertfail ^assertion_failure ^fortify ^stack_chk
        printk ^_?dev_(?:printk|vprintk|err|warn|info|emerg|alert|crit|notice|dbg) ^netdev_(?:err|warn|info|printk)
        ^v?sc?nprintf ^vscnprintf ^vsnprintf ^snprintf ^scnprintf ^bstr_printf ^k(?:vas|as)printf ^seq_v?printf
        ^call_console ^wake_up_klogd ^defer_console
        string(?!_err) ^pointer$ ^va_format ^(?:file_)?dentry_name$ ^put_dec ^num_to_str ^special_hex ^hex_dump ^print_hex ^dynamic_(?:pr|dev|netdev|ibdev|emit)_ ^x86_indirect ^x86_return ^retpoline
        ^nmi_(?:cpu|trigger|panic) ^arch_trigger ^trigger_(?:all|single)
        ^watchdog(?:$|_(?:timer_(?:fn|interrupt)|overflow|hardlockup|buddy|check_(?:timestamp|hardlockup)|nmi|interrupt|smp))
        ^lockup
        ^rcu_(?:dump|print|check_callbacks|check_gp|sched_clock|stall|exp_print|pending) ^print_cpu_stall ^check_cpu_stall
        ^ftrace_(?:call|caller|regs|graph|ops) ^trace_(?:hardirqs|softirqs|preempt|irq|lock|contention) ^perf_trace
        ^debug_(?:object|smp|lockdep|locks|check_no_locks) ^check_preemption ^this_cpu_preempt ^vpanic
    """,
    "traps and interrupts": """
        ^do_(?:error_trap|trap|invalid_op|general_protection|kern_addr|DataAbort|PrefetchAbort|undefinstr
        |mem_abort|translation_fault|bad_area|debug_exception|sp_pc_abort|double_fault|int3|divide|stack_segment|kernel_fault
        |tag_check|sea|serror|alignment|undef) ^die_kernel ^handle_bad_stack ^invalid_op ^general_protection ^page_fault ^bad_area ^no_context
        ^spurious_ ^kernelmode_fixup ^exc_(?!page) ^asm_exc ^asm_sysvec ^sysvec ^asm_common ^error_entry ^error_code ^common_interrupt ^common_exception
        ^ret_from_(?:exception|intr|irq) ^retint ^asm_call_irq ^call_on_irq_stack ^call_on_stack ^el[01]h?t?_(?!svc) ^brk_handler ^call_break_hook
        ^(?:und|irq|pabt|fiq)_(?:svc|usr|invalid) ^data_access ^program_check ^do_bad_page ^(?:do_)?pgm_check ^illegal_op ^monitor_event ^do_(?:protection|dat)_exception ^interrupt_(?:exit|return) ^int3 ^divide_error ^double_fault ^stack_segment ^df_debug
        ^apic_timer_interrupt ^smp_apic_timer ^smp_(?:reschedule|call_function_single_interrupt|call_function_interrupt) ^reboot_interrupt
        ^alternatives? ^arch_stack ^walk_stack ^kernel_text_address ^handle_exception$ ^exception_
    """,
    "allocators": """
        malloc zalloc calloc kmem_cache
        slab_ ^slab$ ^slob_(?:alloc|free|new|page) alloc_page ^memcg_slab
        ^free_large ^(?:kv|kz|k)free(?!_skb_rea|_call_rcu|_rcu)
        =__alloc_frozen_pages_noprof ^(?:re)?alloc_(?:fresh|slab|bulk) ^do_slab
        ^discard_slab ^allocate_slab ^krealloc ^mem(?:dup) ^vmemdup ^strndup_user ^kstrn?dup ^kmemdup
        ^prepare_alloc ^page_pool_alloc
        ^folio_(?:alloc|un?lock|trylock|get|test|set(?!_bh)|clear(?!_dirty_for_io)|mark_accessed)(?:_|$)
        ^filemap_alloc =__filemap_get_folio =do_read_cache_folio read_cache_page ^grab_cache_page =pagecache_get_page ^truncate_inode_pages_range ^should_fail(?:_ex|slab|_alloc_page|$) ^fail_(?:dump|stacktrace)
        ^devm_k ^mempool_(?:(?:alloc|free)_pages|k) ^sock_[kom]+alloc ^large_alloc ^poison_ ^unpoison freepointer ^rcu_free_slab ^qlist_move ^bpf_map_area ^alloc_tag
    """,
    "locks, counters, atomics": """
        ^(?:rcu_)?lock_(?:acquire|release|set_|acquired|contended|pin|unpin|page|basic) lockdep_assert ^lockdep ^mark_(?:lock|held|usage|irqflags|buffer) ^validate_chain ^valid_state ^find_lock_entries ^lookup_chain ^look_up_lock ^hlock_
        ^check_(?:prevs?_add|deadlock|irq_usage|usage|wait_context|chain_key|lock_chain) ^register_lock ^find_held ^reacquire ^lock$ ^unlock$ ^add_lock ^add_chain
        ^print_(?:circular|deadlock|lock|shortest|usage|irq|unlock|kernel_ident|held|collision|bad_irq|freed) ^(?:un)?lock_page$ ^unlock_buffer ^lock_buffer
        spin_lock spin_unlock spin_trylock read_lock read_unlock read_trylock write_trylock write_lock write_unlock ^(?:native_)?queued_ ^pv_
        ^do_raw_(?:spin|read|write)_ ^raw_(?:spin_|(?:read|write)_(?:lock|unlock|trylock|seq)|(?:read|write)[bwlq]$|local_(?:irq|save))
        ^rt_(?:spin|read|write)
        ^(?:class_|ww_|ww_rt_|rt_?)?mutex(?!_slowlock_locked) ^(?:try_to_take|task_blocks_on|mark|fixup|clear|unlock)_rt_mutex
        down_(?:read|write) ^down_trylock =down ^up_(?:read|write) ^rwsem(?!_optimistic) ^rwbase ^percpu_(?:down|up|rwsem) ^osq_
        ^might_ ^cant_ ^cond_resched ^seq(?:lock|count|prop) ^bit_spin ^hlist_bl ^local_bh ^local_lock ^(?:disable|enable)_bh
        ^arch_(?:atomic|spin|read|write|raw|(?:test|set|clear|change)_(?:and_(?:set|clear|change)_)?bit) ^atomic(?:64)?_(?!notifier|open|write|pool) ^instrument ^(?:ex_handler_)?refcount ^kref ^ref_tracker ^cmpxchg ^xchg
        (?:test|set|clear|change|assign)_(?:and_(?:set|clear|change)_)?bit(?:_|$) ^variable_test ^constant_test
        ^rcu_(?:read_(?:un)?lock|is_watching|lockdep) ^cleanup_srcu ^rhashtable_lookup ^xas_(?:load|find|start) ^rht_(?!deferred) =device_list_add
        ^list_(?:(?:add|del|move|replace|splice|empty)(?:_(?:tail|init|entry|valid|or_report|rcu|careful|all))*$
        |bulk_|cut_|rotate_|is_(?:first|last|head|singular)|(?:swap|count_nodes)$)
        ^hlist_ ^klist_(?:del|put|next|add|remove) ^plist ^llist ^rb_ ^rbtree ^dl_rb
        ^finish_wait wait_for_completion
        ^wake_up(?:$|_(?:common|sync|locked|on_current|all$|state|var|pollfree|nohz|if_idle|worker$|parent))
        =complete ^debug_(?:mutex|rt|spin) ^(?:spin|rwlock)_(?:bug|dump) ^held_lock ^assign_lock_key
        ^(?:soft|hard)irqs? ^preempt_(?:count|latency) ^irqentry ^context_tracking ^ct_(?:nmi|irq|user) ^user_(?:enter|exit)
    """,
    "memory, strings, ports, sums, user space": """
        (?:^|_)mem(?:cpy|set|move|cmp|chr)[0-9]*(?:_|$) strcmp (?:^|_)str(?:n?c(?:py|at|mp|hr|spn)|lcpy|scpy|n?len|n?casecmp|n?str|sep|pbrk|rchr|ncasecmp|ndup|lcpy|im|chrnul|spn)(?:_|$)
        ^sized_strscpy ^match_string ^jhash ^crc(?:16|32(?!c_le_base)) =crc_itu_t ^siphash ^hsiphash ^full_name_hash ^csum_(?:and_copy|tcpudp|block)
        copy_(?:from|to)_(?:user|iter|sockptr|kernel|bpfptr) ^copy_user ^copyin ^copyout ^copy_mc ^raw_copy ^clear_user$ ^copy_page_(?:to|from) ^rep_ get_user_pages ^(?:get|put)_user ^probe_kernel
        ^check_copy ^iterate_and ^read_word ^read_once ^READ_ONCE ^WRITE_ONCE ^(?:ins|outs|in|out)[bwlq]$ ^ioread ^iowrite ^(?:read|write)[bwlq]$ ^mmio ^logic_(?:in|out|pio)
        ^(?:get|put)_unaligned ^skb_(?:panic|under_panic|over_panic)$ ^iov_iter_copy
    """,
    "deferred work and devices": """
        ^flush_(?:work$|workqueue) ^start_flush ^drain_workqueue ^destroy_workqueue queue_work(?!er) ^queue_delayed ^insert_work ^cancel_work_(?:sync|timer) =mod_timer =mod_timer_pending ^schedule_work ^try_to_grab
        ^(?:try_to_)?del_timer =__timer_delete_sync ^timer_shutdown ^lock_timer_base ^detach_(?:timer|if_pending) ^lock_hrtimer ^sk_(?:stop|reset)_timer ^tasklet_kill ^kthread_(?:stop|insert|cancel) ^timer_(?:is_static|fixup) =work_is_static_object
        ^kobject_ ^dpm_sysfs device_release ^sysfs_(?:remove|delete|unlink) ^i2c_del_adapter =__unregister_client ^device_(?:remove_file|destroy$) device_(?:add|del)(?:$|_) device_unregister ^device_for_each_child ^(?:get|put)_device ^cdev_device
        ^tty_(?:port_)?unregister_device ^add_uevent
        ^hwrng_unregister usb_submit_urb urb_enqueue ^usb_(?:kill|poison|hcd_(?:submit|giveback_urb_bh)|control_msg)
        dput$ ^iput drop_nlink ^inc_nlink ^ida_free ^ihold ^kfree_skb ^dev_kfree ^unregister_netdev ^rollback_registered ^dev_(?:put|hold) ^netdev_(?:put|hold|tracker)
    """,
    "the scheduler on the way to sleep": """
        ^context_switch ^preempt_schedule ^do_nanosleep ^msleep ^usleep
    """,
    "Rust and C++ run time": """
        ^rust_(?:begin|panic) ^<?core:: ^<?alloc:: ^<?kernel::(?:sync|list|rbtree|workqueue|uaccess) ^rustc ::rust_begin_unwind
    """,
}


def _compile(tables: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for all names; ^ matches the beginning of a name, after any number of underscores."""
    words = re.sub(r"\s*\|\s*", "|", " ".join(tables)).split()
    heads = [word[1:] for word in words if word.startswith("^")]
    names = [word[1:] for word in words if word.startswith("=")]
    parts = [word for word in words if word[0] not in "^="]
    return re.compile(rf"^_{{0,8}}(?:{'|'.join(heads)})|^(?:{'|'.join(names)})$|{'|'.join(parts)}")


@lru_cache(maxsize=1)
def _generic() -> re.Pattern[str]:
    return _compile(tuple(_GENERIC.values()))


@lru_cache(maxsize=4096)
def is_generic(function: str) -> bool:
    """Whether a function appears in traces of faults of any kind, so that it cannot name a bug."""
    return _generic().search(function) is not None


# The build puts these before the name of a system call. The bug is in the call, not in one of its wrappers.
_CALL_PREFIXES: Final = (
    "SYSC_",
    "SyS_",
    "sys_",
    "__x64_",
    "__ia32_",
    "__arm64_",
    "__riscv_",
    "__s390x_",
    "____sys_",
    "___sys_",
    "__sys_",
    "__se_",
    "__se_sys_",
    "__do_sys_",
    "compat_SYSC_",
    "compat_SyS_",
    "ksys_",
)


def plain_names(function: str) -> tuple[str, ...]:
    """A function's name, and the name without one system-call prefix, for each prefix; shortest first."""
    shorter = {function[len(prefix) :] for prefix in _CALL_PREFIXES if function.startswith(prefix)}
    return (*sorted(shorter - {""}, key=lambda name: (len(name), name)), function)


def spellings(function: str) -> frozenset[str]:
    """The names that a kernel may use for a function that a title calls `function`.

    The name itself, and the name with one or two system-call prefixes (`__x64_sys_getppid`).
    """
    once = {prefix + function for prefix in _CALL_PREFIXES}
    twice = {prefix + name for prefix in _CALL_PREFIXES for name in once}
    return frozenset({function} | once | twice)


__all__ = ["is_generic", "plain_names", "spellings"]
