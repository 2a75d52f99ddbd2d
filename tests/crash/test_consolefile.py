"""Logs as people send them: compressed, cut off, in UTF-16, or not logs at all."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import subprocess

import pytest

from pytest_kbisect.commands.consolefile import console_text
from pytest_kbisect.crash import parse_console
from pytest_kbisect.errors import UsageError

CONSOLE = b"""[   12.000001] ------------[ cut here ]------------
[   12.000002] WARNING: CPU: 1 PID: 412 at drivers/misc/kbx.c:211 kbx_set_rate+0x4e/0x60
[   12.000004] RIP: 0010:kbx_set_rate+0x4e/0x60
[   12.000005] Call Trace:
[   12.000007]  kbx_ioctl+0x77/0x2c0
[   12.000008]  do_syscall_64+0x3b/0x90
[   12.000009] ---[ end trace 0000000000000000 ]---
"""
TEXT = CONSOLE.decode()


def zstd(data):
    if shutil.which("zstd") is None:
        pytest.skip("no zstd")
    return subprocess.run(["zstd", "-cq"], input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    "pack",
    [
        bytes,
        gzip.compress,
        bz2.compress,
        lzma.compress,
        zstd,
        lambda data: gzip.compress(data[:100]) + gzip.compress(data[100:]),
        lambda data: gzip.compress(lzma.compress(data)),
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.decode().encode("utf-16"),
        lambda data: data.decode().encode("utf-16-le"),
        lambda data: data.decode().encode("utf-16-be"),
        lambda data: b"\xfe\xff" + data.decode().encode("utf-16-be"),
        lambda data: data.decode().encode("utf-32"),
        lambda data: gzip.compress(data.decode().encode("utf-16")),
    ],
)
def test_packed(pack):
    text = console_text(pack(CONSOLE), "log")
    assert text == CONSOLE
    assert [report.title for report in parse_console(text)] == ["WARNING in kbx_set_rate"]


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress, zstd])
def test_a_packed_log_that_was_cut_off_is_read_as_far_as_it_goes(pack):
    console = b"".join(b"[%5d.000000] random words %d\n" % (at, at * at) for at in range(99999)) + CONSOLE
    packed = pack(console)
    text = console_text(packed[: len(packed) * 3 // 4], "log")
    assert len(text) > len(console) / 4
    assert console.startswith(text)


def test_binary_noise_on_a_console_is_no_utf16():
    noise = b"\0\xff\x80" * 50 + CONSOLE
    assert console_text(noise, "log") == noise
    assert console_text(b"", "log") == b""
    assert console_text(b"\0" * 4096 + CONSOLE, "log") == b"\0" * 4096 + CONSOLE


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x1f\x8b" + b"nothing" * 9, "cannot unpack log: .*gzip -t"),
        (b"\xfd7zXZ\x00" + b"nothing" * 9, "cannot unpack log: .*xz -t"),
        (b"LPKSHHRH" + bytes(99), "journalctl --file FILE -k"),
        (b"PK\x03\x04" + bytes(99), "zip archive: give the log"),
        (bytes(257) + b"ustar\0", "tar archive: give the log"),
        (gzip.compress(bytes(257) + b"ustar\0"), "tar archive: give the log"),
        (b"\x7fELF" + bytes(99), "makedumpfile --dump-dmesg"),
        (b"\x04\x22\x4d\x18" + bytes(99), "lz4 -dc"),
    ],
    ids=["gzip", "xz", "journal", "zip", "tar", "tar.gz", "elf", "lz4"],
)
def test_what_is_no_console_log_is_refused(data, message):
    with pytest.raises(UsageError, match=message):
        console_text(data, "log")


def test_no_program_for_zstd(monkeypatch):
    try:
        import compression.zstd  # noqa: F401
    except ImportError:
        monkeypatch.setattr(shutil, "which", lambda _: None)
        with pytest.raises(UsageError, match="install zstd"):
            console_text(b"\x28\xb5\x2f\xfd", "log")
