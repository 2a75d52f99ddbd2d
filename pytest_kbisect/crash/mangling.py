"""Demangles the names of Rust and C++ functions.

Rust: the v0 scheme (RFC 2603), which kernels are built with. C++: nested names of the Itanium scheme, without
their arguments. Kernels contain no C++, but modules and test programs do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_BASIC_TYPES: Final = {
    "a": "i8", "b": "bool", "c": "char", "d": "f64", "e": "str", "f": "f32", "h": "u8", "i": "isize",
    "j": "usize", "l": "i32", "m": "u32", "n": "i128", "o": "u128", "p": "_", "s": "i16", "t": "u16",
    "u": "()", "v": "...", "x": "i64", "y": "u64", "z": "!",
}  # fmt: skip
_BASE62: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DEEPEST: Final = 40
_LONGEST: Final = 500


class _UnreadableError(Exception):
    """The name does not follow the scheme, or uses a part of it that is not supported."""


def demangle(name: str) -> str:
    """The source name for a mangled name. A name that cannot be demangled is returned unchanged."""
    if len(name) > _LONGEST:
        return name
    try:
        if name.startswith("_R"):
            return _Rust(name[2:]).path() or name
        if name.startswith("_Z"):
            return _cpp(name[2:]) or name
    except (_UnreadableError, IndexError, ValueError):
        pass
    return name


class _Rust:
    """Parses one v0 name. The positions in back references count from the byte after "_R"."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.work = 0

    def path(self) -> str:
        """Parse a <path>: that of the symbol, or one within a type."""
        self._deeper()
        tag = self._take()
        if tag == "C":
            result = self._identifier()
        elif tag == "N":
            space = self._take()
            outer = self.path()
            inner = self._identifier()
            if space.isupper():
                inner = f"{{{'closure' if space == 'C' else 'shim'}:{inner}}}" if inner else "{closure}"
            result = f"{outer}::{inner}"
        elif tag == "M":
            self._impl_path()
            result = f"<{self.type()}>"
        elif tag == "X":
            self._impl_path()
            result = self._as()
        elif tag == "Y":
            result = self._as()
        elif tag == "I":
            outer = self.path()
            result = f"{outer}::<{', '.join(self._list(self._generic))}>"
        elif tag == "B":
            result = self._back(self.path)
        else:
            raise _UnreadableError
        self.depth -= 1
        return result

    def type(self) -> str:
        """Parse a <type>."""
        self._deeper()
        tag = self._take()
        if tag in _BASIC_TYPES:
            result = _BASIC_TYPES[tag]
        elif tag == "A":
            result = f"[{self.type()}; {self._constant()}]"
        elif tag == "S":
            result = f"[{self.type()}]"
        elif tag == "T":
            result = f"({', '.join(self._list(self.type))})"
        elif tag in "RQ":
            self._lifetime()
            result = f"&{'mut ' if tag == 'Q' else ''}{self.type()}"
        elif tag in "PO":
            result = f"*{'mut' if tag == 'O' else 'const'} {self.type()}"
        elif tag == "B":
            result = self._back(self.type)
        elif tag in "CNMXYI":
            self.at -= 1
            result = self.path()
        else:  # function pointers and trait objects: too rare to be worth parsing
            raise _UnreadableError
        self.depth -= 1
        return result

    def _deeper(self) -> None:
        self.depth += 1
        self.work += 1
        if self.depth > _DEEPEST or self.work > _LONGEST:
            raise _UnreadableError

    def _take(self) -> str:
        self.at += 1
        return self.text[self.at - 1]

    def _skip(self, letter: str) -> bool:
        if self.text[self.at : self.at + 1] == letter:
            self.at += 1
            return True
        return False

    def _as(self) -> str:
        self_type = self.type()
        return f"<{self_type} as {self.path()}>"

    def _list(self, item: Callable[[], str]) -> list[str]:
        items = []
        while not self._skip("E"):
            items.append(item())
        return items

    def _generic(self) -> str:
        if self._skip("K"):
            return self._constant()
        if self.text[self.at : self.at + 1] == "L":
            self._lifetime()
            return "'_"
        return self.type()

    def _constant(self) -> str:
        if self._skip("p"):
            return "_"
        if self._skip("B"):
            self._base62()
            return "_"
        self._take()
        end = self.text.index("_", self.at)
        digits = self.text[self.at : end].removeprefix("n")
        self.at = end + 1
        return str(int(digits or "0", 16))

    def _lifetime(self) -> None:
        if self._skip("L"):
            self._base62()

    def _impl_path(self) -> None:
        if self._skip("s"):
            self._base62()
        self.path()

    def _back(self, read: Callable[[], str]) -> str:
        here = self.at - 1
        target = self._base62()
        if target >= here:
            raise _UnreadableError
        after, self.at = self.at, target
        result = read()
        self.at = after
        return result

    def _base62(self) -> int:
        end = self.text.index("_", self.at)
        digits = self.text[self.at : end]
        self.at = end + 1
        if not digits:  # "_" alone means zero, "0_" means one
            return 0
        value = 0
        for digit in digits:
            value = value * 62 + _BASE62.index(digit)
        return value + 1

    def _identifier(self) -> str:
        if self._skip("s"):
            self._base62()
        self._skip("u")  # punycode is not decoded
        start = self.at
        while self.text[self.at : self.at + 1].isdigit():
            self.at += 1
            if self.text[start] == "0":
                break
        length = int(self.text[start : self.at])
        self._skip("_")
        self.at += length
        if self.at > len(self.text):
            raise _UnreadableError
        return self.text[self.at - length : self.at]


def _cpp(text: str) -> str:
    """Parse a plain or nested name, without templates, arguments and substitutions."""
    nested = text.startswith("N")
    at = 1 if nested else 0
    while nested and text[at] in "rVKRO":
        at += 1
    parts = []
    while text[at].isdigit():
        start = at
        while text[at : at + 1].isdigit():
            at += 1
        length = int(text[start:at])
        if at + length > len(text):
            raise _UnreadableError
        parts.append(text[at : at + length])
        at += length
        if not nested or text[at : at + 1] == "E":
            return "::".join(parts)
    raise _UnreadableError
