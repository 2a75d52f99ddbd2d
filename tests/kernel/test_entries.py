"""Where functions begin, read from an object file as from a vmlinux."""

from __future__ import annotations

import subprocess

import pytest

from pytest_kbisect.kernel.entries import entries

SOURCE = """
int __do_sys_getppid(void) { return 1; }
int __x64_sys_getppid(void) __attribute__((alias("__do_sys_getppid")));
int SyS_read(void) { return 2; }
int __se_sys_open(void) { return 3; }
int open(void) { return 4; }
int __x64_sys_close(void) { return 7; }
int vfs_read(void) { return 5; }
int cold(void) __asm__("vfs_read.cold");
int cold(void) { return 6; }
"""


@pytest.fixture(scope="module")
def vmlinux(tmp_path_factory):
    folder = tmp_path_factory.mktemp("entries")
    (folder / "a.c").write_text(SOURCE)
    subprocess.run(["gcc", "-O0", "-w", "-c", "a.c", "-o", "vmlinux"], cwd=folder, check=True)
    return folder / "vmlinux"


def test_functions_are_found_by_name(vmlinux):
    found = entries(vmlinux, ["vfs_read", "is_in_no_kernel"])
    assert set(found) == {"vfs_read"}
    assert len(found["vfs_read"]) == 1


def test_a_system_call_is_where_its_body_is(vmlinux):
    found = entries(vmlinux, ["getppid", "read"])
    assert found == {
        "getppid": entries(vmlinux, ["__do_sys_getppid"])["__do_sys_getppid"],
        "read": entries(vmlinux, ["SyS_read"])["SyS_read"],
    }


def test_a_system_call_of_which_only_a_wrapper_is_there(vmlinux):
    (wrapper,) = entries(vmlinux, ["__x64_sys_close"]).values()
    assert entries(vmlinux, ["close"]) == {"close": wrapper}
    assert entries(vmlinux, ["sys_close"]) == {"sys_close": wrapper}


def test_a_function_of_that_name_goes_before_a_system_call(vmlinux):
    (places,) = entries(vmlinux, ["open"]).values()
    assert places not in entries(vmlinux, ["__se_sys_open"]).values()


def test_a_function_whose_memory_is_freed_after_boot_is_left_out(tmp_path):
    """A breakpoint there cannot be set, or changes what the memory is used for by then."""
    (tmp_path / "a.S").write_text(
        ".globl vfs_read, __init_begin, init_mount, exit_mount, __init_end, __x64_sys_open\n"
        + "".join(f"{name}: nop\n" for name in ("vfs_read", "__init_begin", "init_mount", "exit_mount"))
        + "open: nop\n__init_end: nop\n__x64_sys_open: nop\n"
    )
    subprocess.run(["gcc", "-c", "a.S", "-o", "vmlinux"], cwd=tmp_path, check=True)
    found = entries(tmp_path / "vmlinux", ["vfs_read", "init_mount", "exit_mount", "open"])
    assert found == {"vfs_read": (0,), "open": (6,)}
