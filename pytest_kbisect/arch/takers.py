"""Kernel functions that take the source line of their caller as an argument, in 5.10 to 7.1.

A call counts only if the callee is one of these and the name argument that accompanies the line is a constant
that points to a suitable name. In a kernel in which such a function has other parameters, its lines therefore
stay.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Named = Literal["file", "word"]


class Taker(NamedTuple):
    """The positions of the name and the line among the arguments of a function, counted from 0.

    `named`: the name is that of a source file, as in __FILE__, or a word: a function's name (__func__), or
    ACPICA's name of a module.
    """

    name: int
    line: int
    named: Named


def _takers(named: Named, name: int, line: int, functions: str) -> dict[str, Taker]:
    return dict.fromkeys(functions.split(), Taker(name, line, named))


TAKERS: Final[dict[str, Taker]] = {
    # ___might_sleep of 5.10 was later renamed to __might_resched.
    **_takers(
        "file",
        0,
        1,
        """__might_sleep ___might_sleep __might_resched __might_fault __cant_sleep __cant_migrate
        lockdep_rcu_suspicious warn_slowpath_fmt __warn __kunit_fail_current_test""",
    ),
    # DEBUG_CREDENTIALS up to 6.6; sound/core/misc.c up to 6.11; XFS_ERRORTAG and XFS_WARN.
    **_takers("file", 1, 2, "__invalid_creds __validate_process_creds __snd_printk btrfs_assertfail"),
    **_takers("file", 2, 3, "assfail asswarn xfs_errortag_test"),
    **_takers("file", 3, 4, "xfs_error_report"),
    **_takers("file", 1, 3, "__jbd2_debug"),
    # drivers/acpi/acpica: AE_INFO, and the objects that it counts.
    **_takers(
        "word",
        0,
        1,
        """acpi_error acpi_exception acpi_warning acpi_bios_error acpi_bios_exception acpi_bios_warning
        acpi_ut_predefined_warning acpi_ut_predefined_info acpi_ut_predefined_bios_error
        acpi_ut_prefixed_namespace_error acpi_ut_namespace_error acpi_ut_method_error
        acpi_ut_create_internal_object_dbg acpi_ut_allocate_object_desc_dbg""",
    ),
    **_takers("word", 3, 1, "acpi_debug_print acpi_debug_print_raw"),
    **_takers(
        "word",
        1,
        0,
        """acpi_ut_trace acpi_ut_trace_ptr acpi_ut_trace_u32 acpi_ut_trace_str acpi_ut_exit acpi_ut_status_exit
        acpi_ut_value_exit acpi_ut_ptr_exit acpi_ut_str_exit""",
    ),
    # fs/ext4
    **_takers(
        "word",
        0,
        1,
        """ext4_check_blockref __ext4_ext_dirty __ext4_ext_check __read_extent_tree_block __ext4_check_dir_entry
        __ext4_journal_get_write_access __ext4_journal_get_create_access __ext4_forget __ext4_journal_stop
        __ext4_handle_dirty_metadata __ext4_handle_dirty_super __ext4_grp_locked_error""",
    ),
    **_takers(
        "word",
        1,
        2,
        """__ext4_error __ext4_error_inode __ext4_error_file __ext4_std_error __ext4_warning __ext4_warning_inode
        __check_block_validity""",
    ),
    **_takers("word", 3, 4, "__ext4_iget"),
    # fs/btrfs, net/core/xdp.c
    **_takers("word", 1, 2, "__btrfs_abort_transaction __btrfs_handle_fs_error __btrfs_panic xdp_warn"),
}

PRINTERS: Final = ("_printk", "printk", "__warn_printk")
"""Functions that print a format. If a %s is __FILE__ and a number follows, that number is the line."""

__all__ = ["PRINTERS", "TAKERS", "Taker"]
