"""Which functions of a trace tell a bug from another, and which are on the way to any fault.

A crash is titled by the function that did wrong, and that is rarely the innermost one: above it lie
the sanitizer, the allocator, the list or lock primitive it called wrongly, the code that prints. The
tables name those by what they are for. A name that begins with ^ must begin so (leading underscores
aside); the others may be anywhere in a function's name.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final


_GENERIC: Final[dict[str, str]] = {
    "sanitizers and coverage": """
        kasan kmsan kcsan ubsan kfence asan_ hwasan tsan_ msan_ sanitizer kcov
        ^check_(?:memory_region|region|stack_object|heap_object|kill|slab) ^memory_is_ ^object_err
        ^print_(?:address|report|error|trailer|page|section|track|bad|memory|shadow) ^slab_(?:err|bug|fix|pad)
        ^start_report ^bad_page ^assfail ^assertfail ^end_report ^complete_report ^describe_ ^stack_trace ^save_stack ^set_track ^qlist
        ^quarantine ^report_ ^handle_overflow ^handle_(?:load|type|null|misaligned|object) ^val_to_string ^addr_has ^virt_addr ^phys_addr ^init_object ^setup_object
    """,
    "printing, warning, dying": """
        ^dump_ ^show_(?:stack|regs|trace|mem$|free_areas|registers|opcodes|ip|iret|fault|state|data|pte|unhandled|all) ^panic ^check_panic ^v?panic_on ^nmi_panic ^print_tainted ^get_taint ^add_taint ^warn ^die(?:_|$) ^oops ^bug(?:_|$) ^handle_bug ^fixup_ ^search_exception
        ^fortify ^v?s?n?printk ^vprintk ^devkmsg ^dev_(?:printk|vprintk|err|warn|info|emerg|alert|crit|notice|dbg)
        ^v?sn?c?printf ^vscnprintf ^seq_(?:printf|vprintf|puts|putc) ^console_(?:un|try)?(?:lock|flush|emit|cont|cpu|srcu) ^call_console ^wake_up_klogd ^printk
        ^string$ ^string_nocheck ^pointer$ ^number$ ^format_decode ^bstr_printf ^kvasprintf ^kasprintf ^netdev_(?:err|warn|info|printk)
        ^dynamic_ ^debug_(?:print|check_no|locks|show|object|smp|lockdep|dma) ^check_preemption ^this_cpu_preempt ^nmi_ ^arch_trigger
        ^trigger_(?:all|single) ^rcu_(?:dump|print|check_callbacks|sched_clock|stall|exp_print) ^print_cpu_stall ^check_cpu_stall
        ^sched_show_task ^watchdog ^lockup ^stack_chk ^ftrace ^trace_ ^tracing_ ^bpf_trace ^perf_trace ^perf_(?:tp|swevent)
    """,
    "traps and interrupts": """
        ^do_(?:error_trap|trap|invalid_op|general_protection|page_fault|kern_addr_fault|user_addr|DataAbort|PrefetchAbort|
        undefinstr|mem_abort|translation_fault|bad_area|debug_exception|sp_pc_abort|bad|double_fault|int3|divide|stack_segment)
        ^invalid_op ^general_protection ^page_fault ^bad_area ^no_context ^do_kernel_fault ^die_kernel ^do_(?:tag_check|sea|sp_pc|serror|translation|alignment) ^handle_bad_stack ^spurious_ ^kernelmode_fixup ^handle_(?:invalid|reserved|exception|page_fault)
        ^exc_ ^asm_exc ^asm_sysvec ^sysvec ^error_entry ^error_code ^common_interrupt ^ret_from_(?:exception|intr|irq)
        ^el[01]h?_(?!svc) ^brk_handler ^call_break_hook ^call_on_irq_stack ^dabt_svc ^und_svc ^irq_svc ^data_access
        ^program_check ^int3 ^divide ^double_fault ^stack_segment ^df_debug ^apic_timer_interrupt ^smp_apic_timer ^reboot_interrupt
        ^smp_(?:reschedule|call_function_single_interrupt|call_function_interrupt|reboot) ^alternatives? ^x86_indirect ^x86_return ^retpoline ^arch_static ^static_call
        ^unwind_(?:next|get|backtrace|frame) ^get_stack_info ^on_stack ^in_entry ^update_stack ^orc_ ^profile_pc ^arch_stack ^walk_stack ^kernel_text_address
    """,
    "allocators": """
        ^k?v?[mzc]?alloc(?:_|$) ^k[mzcv]*alloc ^kv[mzc]*alloc ^v[mz]alloc ^kmem_cache ^kmem_ ^slab_(?:alloc|free|post|pre|want)
        ^cache_(?:alloc|free|grow|flush) ^mem_cgroup_ ^memcg_ ^obj_cgroup ^free_(?:pages?|unref|large|frozen|compound|pcp|one_page|hot|cold|block)
        ^free$ ^(?:kv|kz|k|v)free(?!_skb_rea) ^vunmap ^vmalloc ^get_(?:free_page|page_from|zeroed) ^(?:re)?alloc_(?:pages?|fresh|slab|percpu|bulk|frozen)
        ^new_slab ^do_slab ^get_partial ^put_cpu_partial ^unfreeze ^discard_slab ^allocate_slab ^rcu_free_slab
        ^pcpu_ ^krealloc ^kv?mem?dup ^v?mem?dup_user ^memdup ^vmemdup ^strndup_user ^kstrn?dup ^kmemdup ^prep_new ^post_alloc ^page_(?:frag|cache)_?alloc
        ^(?:un)?lock_page ^mark_buffer ^folio_(?:alloc|lock|unlock|wait|mark|put|get) ^put_page ^get_page$ ^release_pages ^should_fail ^fail_dump ^alloc_page ^dma_pool
        ^devm_k ^devres_ ^mempool_ ^bpf_map_area ^sock_[km]malloc ^sock_kmalloc ^alloc_workqueue ^kmalloc_reserve ^large_alloc
    """,
    "locks, counters, atomics": """
        ^lock_(?!fdc) ^lockdep ^mark_(?:lock|held|usage) ^validate_chain ^check_(?:prev|noncircular|deadlock|irq|usage|wait_context|flags|chain)
        ^register_lock ^print_(?:circular|deadlock|lock|usage|irq|unlock|kernel_ident|held) ^find_held ^match_held ^reacquire ^lock$ ^unlock$
        spin_lock spin_unlock spin_trylock read_lock read_unlock write_lock write_unlock ^raw_(?:spin|read|write) ^queued_ ^native_queued ^pv_ ^kvm_wait
        ^do_raw ^rt_spin ^rt_read ^rt_write ^rt_mutex ^rtlock ^mutex ^ww_mutex ^down(?:_|$) ^up(?:_(?:read|write)|$) ^rwsem ^rwbase ^percpu_(?:down|up|ref|rwsem|counter) ^osq_
        ^(?:might_sleep|might_fault|might_resched|cant_sleep) ^cond_resched ^seq(?:lock|count|prop) ^bit_spin ^hlist_bl ^local_bh ^local_lock ^trylock
        ^arch_(?:atomic|spin|read|write|test|set|clear|local|static_branch|irqs|raw) ^atomic ^instrument ^raw_atomic ^refcount ^kref ^ref_tracker ^cmpxchg ^xchg
        ^(?:test|set|clear|change|find)_(?:and_)?(?:first_|next_|last_)?(?:zero_)?(?:and_)?bit ^bitmap_ ^find_next ^find_first ^variable_test ^constant_test ^cpumask
        ^rcu_(?:read|is_watching|dynticks|note|lockdep|dereference|sync|eqs) ^list_ ^hlist_ ^klist_ ^plist ^llist ^rb_ ^rbtree ^dl_rb ^timerqueue_(?:add|iterate) ^wait_for_completion ^complete
        ^wake_ ^__wake ^prepare_to_wait ^finish_wait ^add_wait_queue ^autoremove ^debug_mutex ^debug_rt ^debug_spin ^spin_(?:bug|dump) ^lockref ^held_lock
        ^trace_hardirqs ^trace_softirqs ^trace_preempt ^(?:soft|hard)irqs? ^preempt_(?:count|latency) ^irqentry ^context_tracking ^ct_ ^user_(?:enter|exit)
    """,
    "memory, strings, user space": """
        ^mem(?:cpy|set|move|cmp|chr|scan|dup|zero)(?:_|$) ^memcpy ^memset ^memmove ^memcmp ^memchr ^str(?:n?l?cpy|scpy|n?len|n?n?case)?cmp ^str[a-z]*(?:_|$)
        ^strlen ^strn?cpy ^strscpy ^strstr ^strchr ^sized_strscpy ^jhash ^crc ^crc32 ^xxh ^siphash ^full_name_hash ^end_name_hash
        ^copy_(?:from|to)_(?:user|iter|sockptr|kernel_nofault) ^copy_user ^_?copy_(?:to|from) ^copyin ^copyout ^copy_mc ^raw_copy ^csum_ ^clear_user ^clear_page ^copy_page(?:$|_[a-z]*erms) ^rep_ ^(?:get|put)_user ^probe_kernel ^strn?cpy_from
        ^usercopy ^check_object_size ^check_copy ^check_stack ^check_page_span ^check_bogus ^iov_iter_(?!advance|revert) ^iterate_and ^copy_page_(?:to|from)_iter ^_copy
        ^fault_in ^get_user_pages ^read_word ^read_once ^write_once ^READ_ONCE ^csum ^do_csum ^insw? ^outs?[bwl] ^in[bwl]$ ^ioread ^iowrite ^read[bwlq]$ ^write[bwlq]$ ^mmio ^logic_in ^logic_out ^get_unaligned ^put_unaligned
        ^idr_ ^ida_ ^radix_tree ^xa_ ^xas_ ^mas_ ^mt_ ^mtree ^rhashtable ^rht_ ^skb_(?:panic|under|over|push|pull|put|trim|copy_bits|copy_datagram|over_panic|under_panic|orphan|dst|release_head|free)
        ^check_(?:data|buffer|object) ^hash_ ^ptr_ ^nla_(?:put|reserve|strl?cpy|strscpy|memcpy) ^skb_copy_to ^sg_(?:init|set|assign|next|alloc|miter) ^scatterwalk ^find_vma$
    """,
    "deferred work and devices": """
        ^kvfree_call ^kfree_call ^flush_(?:work|workqueue|delayed) ^drain_workqueue ^destroy_workqueue ^queue_(?:work|delayed) ^insert_work ^cancel_(?:work|delayed) ^mod_(?:timer|delayed) ^schedule_work ^try_to_grab
        ^(?:try_to_)?del_timer ^timer_delete ^timer_shutdown ^add_timer ^lock_timer_base ^timer_(?:is|fixup|wait) ^detach_timer ^hrtimer_(?:active|cancel|start|try|init|forward) ^lock_hrtimer ^remove_hrtimer ^init_timer ^sk_(?:stop|reset)_timer
        ^kthread_(?:queue|insert|create|stop|flush|cancel) ^try_to_wake ^ttwu ^select_task ^tasklet_(?:kill|schedule|disable|unlock) ^irq_work ^task_rq
        ^kobject_ ^kset_ ^kernfs_ ^sysfs_ ^create_dir ^tty_(?:un)?register_device ^device_(?:remove_file|create_file|add|del|register|unregister|create|destroy|move|release_driver|initialize|private) ^(?:get|put)_device ^cdev_(?:add|del|put) ^bus_(?:add|remove|for_each|probe|rescan) ^driver_(?:add|attach|detach|register|unregister|probe|sysfs) ^really_probe ^platform_(?:device|driver) ^class_
        ^device_links ^dpm_ ^pm_runtime ^rpm_ ^component_ ^software_node ^uevent ^add_uevent ^notifier_ ^raw_notifier ^blocking_notifier ^atomic_notifier ^srcu_notifier ^call_netdevice_notif
        ^debugfs_ ^proc_(?:register|mkdir|create|remove) ^remove_proc ^simple_(?:unlink|rmdir) ^securityfs
        ^usb_(?:submit|kill|unlink|poison|free|anchor|unanchor|hcd_(?:submit|unlink|giveback)|start_wait|control_msg|bulk_msg|interrupt_msg|get_descriptor|disable|hub) ^dummy_(?:urb|hcd)
        ^kill_urb ^urb_ ^free_percpu ^put_(?:pid|cred|task|net) ^fput ^dput ^iput ^dentry_kill ^mntput ^d_(?:delete|drop|walk|lru) ^inode_(?:sb_list|lru|io) ^evict$ ^destroy_inode
        ^kfree_skb ^consume_skb ^napi_consume ^dev_kfree ^sk_(?:free|destruct) ^sock_(?:put|hold|wfree|rfree|efree) ^skb_queue ^skb_dequeue ^skb_unlink ^skb_attempt ^kfree_skbmem ^skb_(?:head|set_owner|clone$)
        ^(?:un)?register_netdev(?:ice)?(?:_many|_queue|$) ^rollback_registered ^unregister_netdevice ^free_netdev_$ ^dev_(?:put|hold) ^netdev_(?:put|hold|tracker) ^netdev_run_todo ^linkwatch
        ^generic_handle ^handle_irq ^request_(?:threaded_)?irq ^free_irq ^enable_irq ^disable_irq ^synchronize_irq ^irq_to
    """,
    "scheduling": """
        ^schedule(?:_timeout|_preempt|_idle|_hrtimeout|_bug|_debug|$) ^io_schedule ^context_switch ^switch_to ^finish_task ^preempt_schedule ^schedule_timeout ^schedule_bug ^kthread_should ^do_nanosleep ^msleep ^usleep
        ^pick_next ^put_prev ^deactivate_task ^dequeue_task ^enqueue_task ^sched_(?:clock|submit|feat) ^native_(?:read_msr|write_msr|safe|save|restore|irq|sched|halt|read_cr|write_cr) ^kvm_(?:clock|steal|sched) ^pvclock ^ktime_ ^read_tsc ^clockevents ^tick_ ^update_process_times ^hrtimer_interrupt ^(?:local|__sysvec)_apic ^paravirt
    """,
    "Rust and C++ run time": """
        ^rust_(?:helper|begin|panic) ^core:: ^<core:: ^alloc:: ^<alloc:: ^kernel::sync ^<kernel::sync ^kernel::(?:list|rbtree|workqueue|uaccess)
    """,
}


def _compile(tables: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for all names; ^ stands for "begins so, whatever number of underscores comes first"."""
    words = re.sub(r"\|\s+", "|", " ".join(tables)).split()
    heads = [word[1:] for word in words if word.startswith("^")]
    parts = [word for word in words if not word.startswith("^")]
    return re.compile(rf"^_{{0,8}}(?:{'|'.join(heads)})|{'|'.join(parts)}")


@lru_cache(maxsize=1)
def _generic() -> re.Pattern[str]:
    return _compile(tuple(_GENERIC.values()))


@lru_cache(maxsize=4096)
def is_generic(function: str) -> bool:
    """Whether a function is on the way to faults of any kind, so that it names none of them."""
    return _generic().search(function) is not None


# What the build puts before a system call's name; the bug is in the call, not in one of its wrappers.
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
    """A function's name and what is left of it without each one prefix of a system call; shortest first."""
    shorter = {function[len(prefix) :] for prefix in _CALL_PREFIXES if function.startswith(prefix)}
    return (*sorted(shorter - {""}, key=lambda name: (len(name), name)), function)


__all__ = ["is_generic", "plain_names"]
