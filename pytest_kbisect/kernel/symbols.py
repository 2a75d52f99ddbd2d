"""Debug information for a crash's stack alone: the objects its functions are in, compiled once more.

A kernel with debug information throughout is built from nothing, because its configuration is another
one: minutes, and gigabytes. A stack needs some ten objects of it. In the O= folder of the plain build
their own command lines (kbuild keeps them in .cmd files) are run again with -g and another output,
and the results are linked where the kernel has them: a small file that nm, addr2line and
llvm-symbolizer accept as the vmlinux, and for each module of the stack a NAME.ko beside it. -g should not
change code: a section is left out unless all functions
in it have the offset and size that they have in the plain object.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CalledProcessError
from typing import TYPE_CHECKING, Any, Final

from pytest_kbisect import process
from pytest_kbisect.errors import HostError, KbisectError
from pytest_kbisect.kernel import build, host_limits, provide, signature
from pytest_kbisect.kernel.prebuilt.package import package_at
from pytest_kbisect.kernel.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from pytest_kbisect.arch import Architecture
    from pytest_kbisect.kernel.build import Built
    from pytest_kbisect.kernel.config import ConfigRequest
    from pytest_kbisect.kernel.image import KernelImage
    from pytest_kbisect.kernel.rules import BuildRules
    from pytest_kbisect.kernel.toolchain import Toolchain
    from pytest_kbisect.kernel.tree import LinuxTree

_FILE: Final = "vmlinux.debug"
_RECIPE: Final = "symbols 1"
_MODULE_NAME: Final = "-DKBUILD_MODNAME="
_SITE = re.compile(r"([A-Za-z_$.][\w.$]{0,300})\+0x[0-9a-f]{1,8}/0x[0-9a-f]{1,8}")
_COMMAND = re.compile(r"^(?:saved)?cmd_\S+ := (.*)$", re.MULTILINE)
_SOURCE = re.compile(rb"^source_\S+ := ", re.MULTILINE)

Function = tuple[str, int, int]
"""Name, address (in an object: offset in its section) and size."""


def functions_in(report: str) -> frozenset[str]:
    """The functions that a crash's report gives addresses in: `name+0x12/0x34`."""
    return frozenset(_SITE.findall(report))


@contextlib.contextmanager
def symbols_for(
    kernel: KernelImage,
    functions: Collection[str],
    tree: LinuxTree,
    config: ConfigRequest,
    *,
    jobs: int,
    rules: BuildRules,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Path]:
    """A file to symbolize a crash of this kernel with: crash.symbols.symbolize(report, that).

    `functions` are those of the report (see functions_in), `config` is the one that the kernel was
    provided with. The file stays for the block. Its paths are relative to the top of the tree. It
    knows the functions of the objects (C files) that `functions` are in; modules are files beside it.

    Takes a second or two in a warm O= folder, plus what make needs to bring that back to this commit; the
    answer is kept in the store. Raises KbisectError if the commit does not build the same kernel again,
    HostError if the host is at fault.
    """
    if package_at(tree, kernel.commit):
        raise KbisectError(
            "kernel packages have no debug information: install the debug package, and run kbisect crash --vmlinux"
        )
    tools, config = provide.prepared(config, rules)
    store = Store(tree.cache / "kernels", limit=rules.store_limit)
    facts = (kernel.signature, provide.family_of(config, tools, rules), _RECIPE, *sorted(functions))
    key = hashlib.sha256("\0".join(facts).encode()).hexdigest()[:40]
    with contextlib.ExitStack() as held:
        entry = store.lookup(key)
        if entry is None:
            waiting = "wait for another process that makes these symbols"
            with host_limits.writing(tree.cache), store.building(key, lambda _: progress(waiting)) as work:
                entry = store.lookup(key)
                if entry is None:
                    log = work / "build.log"
                    with build.build(
                        tree,
                        kernel.source,
                        config,
                        tools,
                        jobs=jobs,
                        log=log,
                        progress=progress,
                        full=rules.full,
                    ) as built:
                        _require_same(built, kernel, config.architecture)
                        progress("compile what crashed with debug information")
                        environment = tools.environment(tree.cache)
                        made = link(
                            built.files["vmlinux"],
                            functions,
                            work / "objects",
                            environment,
                            tools=tools,
                            jobs=jobs,
                        )
                    files = {path.name: path for path in (made, *made.parent.glob("*.ko"))}
                    entry = store.add(key, files, {"commit": kernel.commit, "symbols": sorted(functions)})
        held.enter_context(entry)
        yield entry.folder / _FILE


def _require_same(built: Built, kernel: KernelImage, architecture: Architecture) -> None:
    if signature.of_build(built, architecture) != kernel.signature:
        raise KbisectError(
            f"{kernel.commit[:12]} built a second time is a different kernel: no symbols for its crash"
        )


def link(
    vmlinux: Path,
    functions: Collection[str],
    folder: Path,
    environment: dict[str, str],
    *,
    tools: Toolchain,
    jobs: int,
) -> Path:
    """Make the file from a finished build: vmlinux is in its O= folder, `folder` for what is made.

    The modules' files are made beside it.
    """
    output = vmlinux.parent
    folder.mkdir(parents=True)
    addresses = _addresses(vmlinux)
    paths = _defining(output, functions, tools)

    def compiled(number: int) -> tuple[str, list[tuple[str, int]]]:
        name, command = folder / f"{number}.o", _command(output, paths[number])
        if not _compile(command, output, name, environment):
            return "", []
        if module := _module_of(command):
            same = _functions(name) == _functions(output / paths[number])
            return module if same else "", []
        return "", _placed(name, output / paths[number], addresses)

    script: list[str] = []
    names: list[str] = []
    modules: dict[str, list[str]] = {}
    with ThreadPoolExecutor(jobs) as pool:
        for number, (module, placed) in enumerate(pool.map(compiled, range(len(paths)))):
            if module:
                modules.setdefault(module, []).append(f"{number}.o")
            if placed:
                names.append(f"{number}.o")
            for section, address in placed:
                script.append(f"  .k{len(script)} {address:#x} : {{ {number}.o({section}) }}")
    for module, objects in modules.items():
        process.run(
            [f"{tools.prefix}ld", "-r", "-o", f"{module}.ko", *objects],
            cwd=folder,
        )
    made = folder / _FILE
    (folder / "script").write_text("SECTIONS {\n" + "\n".join(script) + "\n}\n")
    # Symbols of objects that are not here are undefined, and nobody will run this.
    lenient = ["--noinhibit-exec", "--unresolved-symbols=ignore-all", "--no-check-sections", "-z", "norelro"]
    process.run(
        [tools.linker, "-e", "0", *lenient, "-T", "script", "-o", made, *names],
        cwd=folder,
        check=False,
    )
    if not made.exists() or not (names or modules):
        raise HostError("no object of this kernel has the functions of the crash, or ld cannot link them")
    return made


def _defining(output: Path, functions: Collection[str], tools: Toolchain) -> list[Path]:
    """The objects in O= that define any of the functions, relative to it; composed ones are left out."""
    objects = _objects(output, tools)
    listing = process.run([f"{tools.prefix}nm", "-A", "--defined-only", *objects], cwd=output, check=False)
    found: set[str] = set()
    for line in listing.decode("utf-8", "replace").splitlines():
        path, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 3 and words[1] in "tTwW" and words[2] in functions:
            found.add(path)
    return sorted(Path(path) for path in found if _is_compiled(output, Path(path)))


def _objects(output: Path, tools: Toolchain) -> list[str]:
    """All objects in O= that may be linked into vmlinux, composed ones too, relative to it."""
    objects: list[str] = []
    for folder, _, names in os.walk(output):
        for name in names:
            # Host programs and the boot code are not in vmlinux.
            inside = os.path.relpath(f"{folder}/{name}", output)
            if name.startswith(".") or not name.endswith(".o"):
                continue
            if inside.startswith(("scripts/", "tools/", *tools.architecture.boot_folders)):
                continue
            objects.append(inside)
    return objects


def compiled_objects(output: Path, tools: Toolchain) -> list[str]:
    """The objects in O= that were compiled of one file each, relative to it."""
    return sorted(name for name in _objects(output, tools) if _is_compiled(output, Path(name)))


def _command_file(output: Path, path: Path) -> Path:
    return output / path.parent / f".{path.name}.cmd"


def _is_compiled(output: Path, path: Path) -> bool:
    file = _command_file(output, path)
    return file.exists() and _SOURCE.search(file.read_bytes()) is not None


def _command(output: Path, path: Path) -> list[str]:
    """The command that compiled an object; empty if kbuild did not keep it."""
    command = _COMMAND.search(_command_file(output, path).read_text("utf-8", "replace"))
    if command is None:
        return []
    # What follows the compiler (objtool, recordmcount) works on the result in place, and adds no lines.
    return shlex.split(
        command[1].replace("$$", "$").replace("\\#", "#").partition(" ; ")[0].partition(" && ")[0]
    )


def _module_of(words: Collection[str]) -> str:
    """The module that an object is compiled for; empty for one that is built in."""
    if "-DMODULE" not in words:
        return ""
    return next((word.partition("=")[2].strip('"') for word in words if word.startswith(_MODULE_NAME)), "")


def _compile(words: Sequence[str], output: Path, to: Path, environment: dict[str, str]) -> bool:
    """Run an object's own command again, with -g, to another place; whether that worked."""
    kept = [word for word in words if not word.startswith("-Wp,-M")]
    try:
        kept[kept.index("-o") + 1] = str(to)
    except (ValueError, IndexError):
        return False
    # Paths as the tree has them, whichever slot this is.
    prefixes = ["-fdebug-prefix-map=../=", f"-fdebug-prefix-map={output}=."]
    try:
        process.run([*kept, "-g", *prefixes], cwd=output, env=environment)
    except CalledProcessError:
        return False
    return True


def _placed(debug: Path, plain: Path, addresses: dict[tuple[str, int], list[int]]) -> list[tuple[str, int]]:
    """Where the kernel has an object's code: section and address.

    Of functions with one name the right one is recognized by its neighbours.
    """
    plain_functions = _functions(plain)
    found = []
    for section, functions in _functions(debug).items():
        if plain_functions.get(section) != functions:
            continue
        votes: Counter[int] = Counter()
        for name, offset, length in functions:
            votes.update(address - offset for address in addresses.get((name, length), ()))
        if votes:
            found.append((section, votes.most_common(1)[0][0]))
    return found


def _functions(path: Path) -> dict[str, set[Function]]:
    """The functions of an object, by the section that they are in."""
    from elftools.elf.elffile import ELFFile

    found: dict[str, set[Function]] = {}
    with path.open("rb") as file:
        elf: Any = ELFFile(file)
        for symbol in elf.get_section_by_name(".symtab").iter_symbols():
            entry = symbol.entry
            if entry.st_info.type == "STT_FUNC" and isinstance(entry.st_shndx, int):
                section = elf.get_section(entry.st_shndx).name
                found.setdefault(section, set()).add((symbol.name, entry.st_value, entry.st_size))
    return found


def _addresses(vmlinux: Path) -> dict[tuple[str, int], list[int]]:
    """Where vmlinux has its functions, by name and size. By nm: pyelftools takes seconds."""
    found: dict[tuple[str, int], list[int]] = {}
    for line in process.run(["nm", "-S", vmlinux]).decode("utf-8", "replace").splitlines():
        words = line.split()
        if len(words) == 4 and words[2] in "tTwW":
            found.setdefault((words[3], int(words[1], 16)), []).append(int(words[0], 16))
    return found
