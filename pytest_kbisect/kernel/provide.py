"""A kernel for a commit: from the store, or built into it, once, however many processes ask for it."""

from __future__ import annotations

import contextlib
import hashlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_kbisect.errors import BuildError, ConfigError
from pytest_kbisect.kernel import (
    build,
    host_limits,
    modules,
    patches,
    remedies,
    reuse,
    signature,
    sources,
    toolchain,
)
from pytest_kbisect.kernel.config import remedied
from pytest_kbisect.kernel.image import KernelImage, Spent
from pytest_kbisect.kernel.prebuilt.package import package_at
from pytest_kbisect.kernel.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pytest_kbisect.arch import Architecture
    from pytest_kbisect.kernel.build import Built
    from pytest_kbisect.kernel.config import ConfigRequest
    from pytest_kbisect.kernel.holders import Holder
    from pytest_kbisect.kernel.prebuilt.package import Package
    from pytest_kbisect.kernel.rules import BuildRules
    from pytest_kbisect.kernel.store import Entry
    from pytest_kbisect.kernel.toolchain import Toolchain
    from pytest_kbisect.kernel.tree import LinuxTree


def _silent(_: str) -> None:
    pass


@contextlib.contextmanager
def provide(
    tree: LinuxTree,
    commit: str,
    config: ConfigRequest,
    *,
    jobs: int,
    rules: BuildRules,
    progress: Callable[[str], None] = _silent,
    owner: str = "",
    background: bool = False,
) -> Iterator[KernelImage]:
    """The kernel of a commit (a full hash) with a configuration; its files stay for the block.

    `progress` gets a few words on what is being done, `jobs` is for make. The store is in the
    tree's cache folder. Where a package stands for the commit (see prebuilt), it is unpacked instead.
    If another process builds the same kernel, wait for it and take it: without a word where it has the
    same `owner`, instead of it where it works in the `background` only. A commit that changes no
    file which was read for another kernel takes that one, without make, unless `rules` want full builds.
    Patches of the `rules` are applied to it first.

    Raises BuildError if the commit does not build, now or when it was tried before; ConfigError if it
    has not what the configuration asks for; PatchError if a patch conflicts with it; HostError if the host
    is at fault, which is not remembered.
    """
    store = Store(tree.cache / "kernels", limit=rules.store_limit)
    if package := package_at(tree, commit):
        with _packaged(store, package, commit, config, tree.cache, progress) as kernel:
            yield kernel
        return
    tools, config = prepared(config, rules)
    source = patches.to_build(tree, commit, rules.patches)
    key = key_of(tree.tree_hash(source), config, tools, rules)

    def waiting(holder: Holder | None) -> None:
        if holder is not None and holder.background and not background:
            progress("take over from the process that builds this kernel ahead")
            holder.give_way()
        elif not (owner and holder is not None and holder.owner == owner):
            progress("wait for another process that builds this kernel")

    with contextlib.ExitStack() as held:
        entry, cached = store.lookup(key), True
        seconds: dict[str, float] = {}
        if entry is None:
            began = time.monotonic()
            with (
                host_limits.writing(tree.cache),
                store.building(key, waiting, owner=owner, background=background) as work,
            ):
                seconds["waiting"] = time.monotonic() - began
                entry = store.lookup(key)
                family = family_of(config, tools, rules)
                if entry is None and not rules.full:
                    entry = reuse.take_over(store, key, family, tree, source, progress, of=commit)
                if entry is None:
                    log = work / "build.log"
                    making = build.build(
                        tree, source, config, tools, jobs=jobs, log=log, progress=progress, full=rules.full
                    )
                    entry, cached = (
                        _add(
                            store,
                            key,
                            {"commit": source, "of": commit, "family": family},
                            making,
                            log,
                            config.architecture,
                        ),
                        False,
                    )
                    waited = seconds["waiting"]
                    seconds = entry.facts.get("seconds", {})
                    seconds["waiting"] = seconds.get("waiting", 0.0) + waited
        held.enter_context(entry)
        image = _image(entry, commit, config.architecture, cached=cached, seconds=seconds)
        yield replace(image, source=source)


def prepared(config: ConfigRequest, rules: BuildRules) -> tuple[Toolchain, ConfigRequest]:
    """The toolchain that the rules name, and the configuration with their remedies.

    Raises HostError or UsageError, as toolchain.find and remedies.named.
    """
    found = remedies.combined(remedies.named(rules.remedies, config.architecture))
    tools = toolchain.find(config.architecture, rules.compiler, found)
    return tools, remedied(config, found.settings)


@contextlib.contextmanager
def _packaged(
    store: Store,
    package: Package,
    commit: str,
    config: ConfigRequest,
    cache: Path,
    progress: Callable[[str], None],
) -> Iterator[KernelImage]:
    """The kernel of a package: from the store, or unpacked into it."""
    from pytest_kbisect.kernel.prebuilt import unpacking

    key = _key("package", package.digest, config.architecture.name)
    entry, cached, spent = store.lookup(key), True, 0.0
    if entry is None:
        with store.building(
            key, lambda _: progress("wait for another process that unpacks this kernel")
        ) as work:
            entry = store.lookup(key)
            if entry is None:
                began = time.monotonic()
                with host_limits.writing(cache):
                    made = unpacking.unpack(package, config.architecture, work, cache, progress)
                    spent = time.monotonic() - began
                    facts = {
                        "commit": commit,
                        "signature": made.signature,
                        "compiler": made.compiler,
                        "release": made.release,
                        "seconds": {"checkout": round(spent, 3)},
                    }
                    entry, cached = store.add(key, made.files, facts), False
    with entry:
        unpacking.require(config, package, entry.folder / "config")
        yield _image(
            entry, commit, config.architecture, cached=cached, seconds={"checkout": spent} if spent else {}
        )


def key_of(tree_hash: str, config: ConfigRequest, tools: Toolchain, rules: BuildRules) -> str:
    """The store's key: files of the commit, configuration asked for, tools, our recipe, signature format."""
    return _key(tree_hash, *_constant(config, tools, rules))


def family_of(config: ConfigRequest, tools: Toolchain, rules: BuildRules) -> str:
    """The same without the commit: kernels of one family differ by their files alone."""
    return _key("", *_constant(config, tools, rules))


def _constant(config: ConfigRequest, tools: Toolchain, rules: BuildRules) -> tuple[str, ...]:
    recipe = (str(toolchain.RECIPE), f"signature {signature.FORMAT}")
    facts = (config.fingerprint, tools.fingerprint, tools.architecture.name, *recipe)
    return (*facts, "full") if rules.full else facts


def _key(*facts: str) -> str:
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:40]


def _add(
    store: Store,
    key: str,
    known: dict[str, str],
    making: AbstractContextManager[Built],
    log: Path,
    architecture: Architecture,
) -> Entry:
    """Build, and put the kernel into the store - or the failure: it will not build the next time either."""
    try:
        with making as built:
            facts = known | {"signature": signature.of_build(built, architecture)} | build.facts(built)
            packed = built.modules.pack(log.parent) if built.modules else {}
            listed = log.with_name(sources.FILE)
            sources.write(built.sources, listed)
            return store.add(key, {**built.files, **packed, "build.log": log, sources.FILE: listed}, facts)
    except BuildError as error:
        failure = {
            "message": str(error),
            "cause": list(error.cause),
            "symbols": list(error.symbols) if isinstance(error, ConfigError) else None,
        }
        return store.add(key, {"build.log": log}, {**known, "failure": failure})


def _image(
    entry: Entry, commit: str, architecture: Architecture, *, cached: bool, seconds: Mapping[str, float]
) -> KernelImage:
    facts = entry.facts
    if failure := facts.get("failure"):
        log = str(entry.folder / "build.log")
        message = failure["message"].replace(facts["commit"][:12], commit[:12])
        if failure["symbols"] is not None:
            raise ConfigError(message, symbols=tuple(failure["symbols"]), log=log)
        raise BuildError(message, cause=tuple(failure["cause"]), log=log)
    listed, packed = entry.folder / sources.FILE, entry.folder / modules.ARCHIVE
    hits, misses = facts.get("ccache", (0, 0))
    return KernelImage(
        commit=commit,
        signature=facts["signature"],
        config=entry.folder / "config",
        image=entry.folder / architecture.image_name,
        vmlinux=entry.folder / "vmlinux",
        compiler=facts["compiler"],
        release=facts["release"],
        seconds=sum(took for phase, took in facts["seconds"].items() if phase != "waiting"),
        cached=cached,
        same_as=facts.get("same_as", ""),
        ccache_hits=hits,
        ccache_misses=misses,
        spent=Spent(**{phase: seconds.get(phase, 0.0) for phase in (*build.PHASES, "waiting")}),
        sources=listed if listed.exists() else None,
        modules=packed if packed.exists() else None,
        module_functions=entry.folder / modules.FUNCTIONS if packed.exists() else None,
    )
