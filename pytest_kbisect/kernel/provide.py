"""A kernel for a commit: from the store, or built into it - once, whoever asks, however many at a time."""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING

from pytest_kbisect.errors import BuildError, ConfigError, HostError
from pytest_kbisect.kernel import build, signature, toolchain
from pytest_kbisect.kernel.image import KernelImage
from pytest_kbisect.kernel.store import DEFAULT_LIMIT, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pytest_kbisect.kernel.build import Built
    from pytest_kbisect.kernel.config import ConfigRequest
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
    cache: Path,
    jobs: int,
    progress: Callable[[str], None] = _silent,
    store_limit: int = DEFAULT_LIMIT,
    debug_info: bool = False,
    compiler: str = "gcc",
) -> Iterator[KernelImage]:
    """The kernel of a commit (a full hash) with a configuration; its files stay for the block.

    `progress` is told in a few words what is being done, `jobs` is for make, `store_limit` in bytes.
    If another process builds the same kernel, wait for it and take it.

    Raises BuildError if the commit does not build, now or when it was tried before; ConfigError if it
    has not what the configuration asks for; HostError if the host is at fault, which is not remembered.
    """
    if debug_info and not config.debug_info:
        config = config.with_debug_info()
    tools = toolchain.find(compiler)
    store = Store(cache / "kernels", limit=store_limit)
    key = key_of(tree.tree_hash(commit), config, tools)
    with contextlib.ExitStack() as held:
        entry, cached = store.lookup(key), True
        if entry is None:
            waiting = "wait for another process that builds this kernel"
            with store.building(key, lambda: progress(waiting)) as work:
                entry = store.lookup(key)
                if entry is None:
                    log = work / "build.log"
                    making = build.build(
                        tree, commit, config, tools, cache=cache, jobs=jobs, log=log, progress=progress
                    )
                    entry, cached = _add(store, key, commit, making, log), False
        held.enter_context(entry)
        yield _image(entry, commit, cached=cached)


def key_of(tree_hash: str, config: ConfigRequest, tools: Toolchain) -> str:
    """The store's key: files of the commit, configuration asked for, compiler and linker, our recipe."""
    facts = (tree_hash, config.fingerprint, tools.identity, tools.architecture.arch, str(toolchain.RECIPE))
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:40]


def _add(store: Store, key: str, commit: str, making: AbstractContextManager[Built], log: Path) -> Entry:
    """Build, and put the kernel into the store - or the failure: it will not build the next time either."""
    try:
        with making as built:
            known = {"commit": commit, "signature": signature.of_vmlinux(built.files["vmlinux"])}
            return store.add(key, {**built.files, "build.log": log}, known | build.facts(built))
    except OSError as error:
        raise HostError(
            f"cannot write a kernel to the cache folder {store.folder.parent}: {error.strerror}"
        ) from error
    except BuildError as error:
        failure = {
            "message": str(error),
            "cause": list(error.cause),
            "symbols": list(error.symbols) if isinstance(error, ConfigError) else None,
        }
        return store.add(key, {"build.log": log}, {"commit": commit, "failure": failure})


def _image(entry: Entry, commit: str, *, cached: bool) -> KernelImage:
    facts = entry.facts
    if failure := facts.get("failure"):
        log = str(entry.folder / "build.log")
        message = failure["message"].replace(facts["commit"][:12], commit[:12])
        if failure["symbols"] is not None:
            raise ConfigError(message, symbols=tuple(failure["symbols"]), log=log)
        raise BuildError(message, cause=tuple(failure["cause"]), log=log)
    return KernelImage(
        commit=commit,
        signature=facts["signature"],
        config=entry.folder / "config",
        image=entry.folder / "bzImage",
        vmlinux=entry.folder / "vmlinux",
        compiler=facts["compiler"],
        release=facts["release"],
        seconds=sum(facts["seconds"].values()),
        cached=cached,
    )
