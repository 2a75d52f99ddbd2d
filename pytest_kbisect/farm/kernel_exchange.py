"""Built kernels on their way from one store to another: sent where they are wanted, not built again."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
from typing import TYPE_CHECKING, Any

from pytest_kbisect.errors import HostError
from pytest_kbisect.kernel.store import Store
from pytest_kbisect.scratch import scratch_folder

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_kbisect.farm.blobs import Blobs

_FACTS = "kernel.json"
_KEY = re.compile(r"[0-9a-f]{40}")


class KernelExchange:
    """The kernels in the store of a cache folder; `blobs` are the files that travel."""

    def __init__(self, cache: Path, blobs: Blobs) -> None:
        self._cache = cache
        self._store = Store(cache / "kernels")
        self._blobs = blobs

    def export(self, commit: str, signature: str) -> list[dict[str, Any]]:
        """Pack the kernels that were built for a commit, or have a signature: key, digest and size of each.

        Failures to build are not packed: they would not be quicker.
        """
        found = []
        for key, facts in sorted(self._store.facts(), key=lambda one: one[0]):
            matches = facts.get("commit") == commit if commit else facts.get("signature") == signature
            if not (matches and "signature" in facts and _KEY.fullmatch(key)):
                continue
            entry = self._store.lookup(key)
            if entry is None:
                continue
            with entry:
                found.append(self._pack(key, entry.folder))
            if signature:
                break
        return found

    def _pack(self, key: str, folder: Path) -> dict[str, Any]:
        with scratch_folder(self._cache / "run") as scratch:
            archive = scratch / "kernel.tar"
            with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
                for path in sorted(folder.iterdir()):
                    tar.add(path, path.name, recursive=False)
            size = archive.stat().st_size
            return {"key": key, "digest": self._blobs.add(archive), "bytes": size}

    def add(self, key: str, digest: str) -> None:
        """Add a kernel that has arrived, unless it is there. Raises HostError for what is no kernel."""
        if not _KEY.fullmatch(key):
            raise HostError(f"{key!r} is no key of a kernel: update pytest-kbisect on all hosts")
        known = self._store.lookup(key)
        if known is not None:
            known.close()
            return
        with self._store.building(key, lambda _: None) as work:
            try:
                with tarfile.open(self._blobs.path(digest), "r:gz") as tar:
                    tar.extractall(work, filter="data")
                facts = json.loads((work / _FACTS).read_bytes())
            except (tarfile.TarError, EOFError, OSError, ValueError) as error:
                raise HostError(f"a kernel arrived broken: {error}: run again to build it") from None
            facts.pop("sizes", None)
            files = {path.name: path for path in work.iterdir() if path.name != _FACTS}
            known = self._store.lookup(key)
            entry = known or self._store.add(key, files, facts)
            entry.close()
        self._blobs.drop(digest)
        shutil.rmtree(work, ignore_errors=True)
