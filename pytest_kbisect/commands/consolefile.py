"""Console logs as files: plain, compressed, or in UTF-16, recognized by their first bytes."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Final

from pytest_kbisect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Decompressor(Protocol):
        """What zlib, bz2 and lzma have in common."""

        @property
        def unused_data(self) -> bytes: ...

        @property
        def eof(self) -> bool: ...

        def decompress(self, data: bytes, /) -> bytes: ...


_GZIP: Final = b"\x1f\x8b"
_BZIP2: Final = b"BZh"
_XZ: Final = b"\xfd7zXZ\x00"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
# What is no text, and what to read instead of it.
_DUMPED: Final = "the text that `makedumpfile --dump-dmesg FILE` or crash's `log` makes of it"
_OTHERS: Final = (
    (b"LPKSHHRH", "a journal of systemd", "the output of `journalctl --file FILE -k`"),
    (b"\x7fELF", "an ELF file", _DUMPED),
    (b"KDUMP   ", "a crash dump", _DUMPED),
    (b"PK\x03\x04", "a zip archive", "the log in it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "the log in it"),
    (b"\x04\x22\x4d\x18", "compressed with lz4", "the output of `lz4 -dc FILE`"),
    (b"%PDF-", "a PDF document", "the console's text"),
    (b"\x89PNG", "a picture", "the console's text"),
    (b"\xff\xd8\xff", "a picture", "the console's text"),
)
_TAR_MAGIC: Final = (257, b"ustar")
_SAMPLE: Final = 4096


def console_text(data: bytes, name: str) -> bytes:
    """The console's bytes as the kernel printed them, of a file's or pipe's bytes.

    A compressed log that was cut off gives what there is of it. Raises UsageError for what is no text, is
    damaged from its beginning on, or needs a program that is not installed.
    """
    for magic, what, instead in _OTHERS:
        if data.startswith(magic):
            raise UsageError(f"cannot read {name}: it is {what}: give {instead}")
    if data[_TAR_MAGIC[0] :].startswith(_TAR_MAGIC[1]):
        raise UsageError(f"cannot read {name}: it is a tar archive: give the log in it")
    unpacked = _unpack(data, name)
    return _from_utf16(data) if unpacked is None else console_text(unpacked, name)


def _unpack(data: bytes, name: str) -> bytes | None:
    """The content of a compressed file, None if it is not compressed."""
    if data.startswith(_GZIP):
        import zlib

        return _decompress(lambda: zlib.decompressobj(zlib.MAX_WBITS | 16), data, name, "gzip")
    if data.startswith(_BZIP2) and data[4:10] == b"1AY&SY":
        import bz2

        return _decompress(bz2.BZ2Decompressor, data, name, "bzip2")
    if data.startswith(_XZ):
        import lzma

        return _decompress(lzma.LZMADecompressor, data, name, "xz")
    if data.startswith(_ZSTD):
        return _from_zstd(data, name)
    return None


def _decompress(new: Callable[[], Decompressor], data: bytes, name: str, program: str) -> bytes:
    """All streams of a file, one after the other; the last may end early."""
    import lzma
    import zlib

    parts: list[bytes] = []
    while data:
        stream = new()
        try:
            for at in range(0, len(data), 1 << 20):
                parts.append(stream.decompress(data[at : at + (1 << 20)]))
                if stream.eof:
                    data = stream.unused_data + data[at + (1 << 20) :]
                    break
            else:
                break
        except (OSError, zlib.error, lzma.LZMAError, EOFError) as error:
            if not any(parts):
                raise UsageError(f"cannot unpack {name}: {error}: check it with `{program} -t`") from error
            break
    return b"".join(parts)


def _from_zstd(data: bytes, name: str) -> bytes:
    try:  # Python 3.14
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        import shutil
        import subprocess

        from pytest_kbisect import process

        program = shutil.which("zstd")
        if program is None:
            raise UsageError(
                f"cannot unpack {name}: Python before 3.14 needs the program zstd: install zstd, or unpack the file"
            ) from None
        child = process.start(
            [program, "-dcq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        unpacked, said = child.communicate(data)
        if child.returncode and not unpacked:
            reason = said.decode(errors="replace").strip() or f"zstd ended with {child.returncode}"
            raise UsageError(f"cannot unpack {name}: {reason}: check it with `zstd -t`") from None
        return unpacked
    return _decompress(zstd.ZstdDecompressor, data, name, "zstd")


def _from_utf16(data: bytes) -> bytes:
    """The same text in UTF-8; what is not in UTF-16 as it is."""
    for mark, encoding in (
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF8, "utf-8"),
    ):
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace").encode()
    sample = data[:_SAMPLE]
    for zeros, encoding in ((sample[1::2], "utf-16-le"), (sample[::2], "utf-16-be")):
        # Text of ASCII letters has a zero in every other byte, and nowhere else.
        if len(zeros) > 8 and zeros.count(0) > 0.9 * len(zeros) and sample.count(0) < 0.6 * len(sample):
            return data.decode(encoding, "replace").encode()
    return data


__all__ = ["console_text"]
