"""What is asked of a kernel's configuration: fragments, whole files, and who asked for what.

A *fragment* is a few symbols: `CONFIG_TUN=y`, `TUN=y`, `# CONFIG_TUN is not set`. What a fragment
says is asked for: if it is not so after olddefconfig, that is an error (see configure). A *whole*
configuration is a .config as kconfig writes it; it replaces tinyconfig as the base, and what of it
does not exist at some commit is silently left out, as `make olddefconfig` does.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from importlib import resources
from typing import TYPE_CHECKING

from pytest_kbisect import arch
from pytest_kbisect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pytest_kbisect.arch import Architecture

GUEST = "what a guest needs"
"""The source of the symbols of for_guest, as messages name it."""

_SETTING = re.compile(r"(?:CONFIG_)?([A-Za-z0-9_]+)=(.*)")
_UNSET = re.compile(r"#\s*(?:CONFIG_)?([A-Za-z0-9_]+) is not set")
_VALUE = re.compile(r'y|m|n|-?[0-9]+|0[xX][0-9A-Fa-f]+|"(?:[^"\\]|\\.)*"')
# conf_write() begins every .config so; "make config: don't edit" until 2.6.38.
_WHOLE = re.compile(
    r"^#\n# Automatically generated (?:file; DO NOT EDIT\.|make config: don't edit)$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Fragment:
    """Symbols asked for, and where that was said. Values as in a .config; `n` for "is not set"."""

    source: str
    settings: tuple[tuple[str, str], ...]

    def text(self) -> str:
        """As merge_config.sh reads it."""
        return "".join(line_of(symbol, value) + "\n" for symbol, value in self.settings)


@dataclass(frozen=True, slots=True)
class ConfigRequest:
    """A configuration as it is asked for, before Kconfig decides.

    `base` is a whole .config, or empty for tinyconfig. `asked` is checked after olddefconfig; `wanted` is
    not, and gives way to it. With `modules`, what is asked for as a module stays one.

    Make one with request().
    """

    base: str
    base_source: str
    wanted: tuple[Fragment, ...]
    asked: tuple[Fragment, ...]
    architecture: Architecture = arch.DEFAULT
    modules: bool = False

    @property
    def fingerprint(self) -> str:
        """A hash of everything that reaches the kernel's Makefile; where it was said does not count.

        Neither does what is wanted and asked for: it gives way. Keys have the architecture besides.
        """
        asked = self.settings()
        left = (tuple(pair for pair in one.settings if pair[0] not in asked) for one in self.wanted)
        wanted = [settings for settings in left if settings]
        # False: no debug information, which could once be asked for. Stores find kernels by this hash.
        facts = (self.base, wanted, sorted(asked.items()), False, built_in("build.config").text())
        text = repr((*facts, "modules") if self.modules else facts)
        return hashlib.sha256(text.encode()).hexdigest()

    def settings(self) -> dict[str, str]:
        """Every symbol asked for; without modules, `m` is `y`."""
        found: dict[str, str] = {}
        for fragment in self.asked:
            for symbol, value in fragment.settings:
                if value != "m":
                    found[symbol] = value
                elif found.get(symbol) != "y":
                    found[symbol] = "m" if self.modules else "y"
        return found

    def source_of(self, symbol: str) -> str:
        """Who asked for a symbol; empty if nobody did."""
        for fragment in reversed(self.asked):
            if symbol in dict(fragment.settings):
                return fragment.source
        return ""


def switched_on(request: ConfigRequest) -> frozenset[str]:
    """The symbols that are on, as far as that is known before Kconfig decides."""
    found = values(request.base)
    for fragment in request.wanted:
        found |= dict(fragment.settings)
    found |= request.settings()
    return frozenset(symbol for symbol, value in found.items() if value in {"y", "m"})


def remedied(request: ConfigRequest, settings: Sequence[tuple[str, str]]) -> ConfigRequest:
    """The request with the settings of remedies, which give way to what is asked for."""
    if not settings:
        return request
    return replace(request, wanted=(*request.wanted, Fragment("remedies", tuple(settings))))


def line_of(symbol: str, value: str) -> str:
    """A setting as a .config has it."""
    return f"# CONFIG_{symbol} is not set" if value == "n" else f"CONFIG_{symbol}={value}"


def request(
    files: Sequence[Path] = (),
    lines: Iterable[tuple[str, str]] = (),
    *,
    disk_image: bool = False,
    modules: bool = False,
    architecture: Architecture = arch.DEFAULT,
) -> ConfigRequest:
    """The configuration for a guest, with the user's files and reproducers' lines.

    `files` are whole configurations (one at most) or fragments; `lines` are (source, line or
    lines), the source being how to name it to a person, such as a reproducer's path. With
    `disk_image` the guest's user space is on a disk of the user's; with `modules` guests load modules.

    Raises UsageError if a file cannot be read or understood, or if two sources contradict each other (y and m
    do not: y has it).
    """
    asked = [for_guest(architecture)]
    if disk_image:
        asked.append(built_in("disk-image.config", source="what a disk image needs"))
    if modules:
        asked.append(built_in("modules.config", source="--kbisect-modules"))
    base, base_source = "", ""
    for path in files:
        text = _read(path)
        if not is_whole(text):
            asked.append(parse(text, str(path)))
        elif base:
            raise UsageError(
                f"{base_source} and {path} are both whole configurations: give one, and fragments"
            )
        else:
            base, base_source = text, str(path)
    by_source: dict[str, list[str]] = {}
    for source, line in lines:
        by_source.setdefault(source, []).append(line)
    asked.extend(parse("\n".join(texts), source) for source, texts in by_source.items())
    _require_agreement([*asked, built_in("build.config", source="what keeps equal code equal")])
    wanted = [built_in("reproducible.config" if base else "guest-wanted.config")]
    if disk_image and not base:
        wanted.append(built_in("disk-image-wanted.config"))
    if architecture.wanted_config and not base:
        wanted.append(parse(architecture.wanted_config, f"what helps on {architecture.name}"))
    if modules:
        wanted.append(built_in("modules-wanted.config"))
    wanted.append(built_in("no-debug-info.config"))
    return ConfigRequest(base, base_source, tuple(wanted), tuple(asked), architecture, modules)


def parse(text: str, source: str) -> Fragment:
    """Parse a fragment. Raises UsageError naming the first line that is not a setting."""
    settings: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if unset := _UNSET.fullmatch(stripped):
            symbol, value = unset[1], "n"
        elif not stripped or stripped.startswith("#"):
            continue
        elif (setting := _SETTING.fullmatch(stripped)) and _VALUE.fullmatch(setting[2]):
            symbol, value = setting[1], setting[2]
        else:
            raise UsageError(
                f"{source}, line {number}: {stripped[:60]!r} is not a setting: "
                "write CONFIG_NAME=y, CONFIG_NAME=42 or # CONFIG_NAME is not set"
            )
        if settings.get(symbol, value) != value:
            raise UsageError(
                f"{source} contradicts itself: {line_of(symbol, settings[symbol])} and {line_of(symbol, value)}"
            )
        settings[symbol] = value
    return Fragment(source, tuple(settings.items()))


def is_whole(text: str) -> bool:
    """Whether a file is a whole .config: by kconfig's own header, which a fragment does not have."""
    return bool(_WHOLE.search(text))


def values(config: str) -> dict[str, str]:
    """What a .config sets. A symbol that it does not mention is not in the result (`n`, or unknown)."""
    found: dict[str, str] = {}
    for line in config.splitlines():
        if line.startswith("CONFIG_"):
            symbol, _, value = line.removeprefix("CONFIG_").partition("=")
            found[symbol] = value
    return found


def built_in(name: str, *, source: str = "") -> Fragment:
    """A fragment from this package."""
    text = (resources.files(__package__) / "fragments" / name).read_text()
    return parse(text, source or name)


def for_guest(architecture: Architecture = arch.DEFAULT) -> Fragment:
    """What a guest cannot do without, on any architecture and on this one."""
    own = parse(architecture.config, f"{GUEST} on {architecture.name}")
    return Fragment(GUEST, (*built_in("guest.config").settings, *own.settings))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise UsageError(f"cannot read the configuration {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the configuration {path} is not text (byte {error.start}): give a .config"
        ) from error


def _require_agreement(fragments: Sequence[Fragment]) -> None:
    said: dict[str, tuple[str, str]] = {}
    for fragment in fragments:
        for symbol, value in fragment.settings:
            before, who = said.get(symbol, (value, fragment.source))
            if before != value and {before, value} != {"y", "m"}:
                raise UsageError(
                    f"contradictory configuration: {line_of(symbol, before)} ({who}), "
                    f"{line_of(symbol, value)} ({fragment.source}): drop one"
                )
            said.setdefault(symbol, (value, fragment.source))
