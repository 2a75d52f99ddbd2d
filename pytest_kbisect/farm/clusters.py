"""`--kbisect-scheduler`: a cluster that runs already, one that ssh starts, or processes on this machine."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from pytest_kbisect import parallel, process
from pytest_kbisect.cluster_address import LOCAL, SSH, is_loopback
from pytest_kbisect.errors import HostError, UsageError
from pytest_kbisect.scratch import scratch_folder

if TYPE_CHECKING:
    import contextlib
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from distributed import Client

CONNECT: Final = 10.0
"""Seconds to wait for a scheduler to answer."""
_START: Final = 60.0
"""Seconds to wait for the scheduler of a cluster on this machine."""
WORKER_CLASS: Final = "pytest_kbisect.farm.farm_worker.FarmWorker"
INSTALL: Final = "pip install 'pytest-kbisect[farm]'"


def require_distributed() -> None:
    """Raise HostError if Dask's distributed package is not installed."""
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise HostError(
            f"no module {error.name!r}, which sessions on other machines need: install it with {INSTALL}"
        ) from None


def count(address: str) -> int:
    """Workers that an address has us start; 0 for a cluster that runs already."""
    if found := LOCAL.fullmatch(address):
        return int(found[1])
    found = SSH.fullmatch(address)
    return len(found[1].split(",")) if found else 0


def connect(address: str, held: contextlib.ExitStack, cache: Path, note: Callable[[str], None]) -> Client:
    """A client of the cluster at an address; `held` ends what was started. Raises HostError or UsageError."""
    require_distributed()
    # Lost connections are reported by us, once and in words.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    if found := LOCAL.fullmatch(address):
        address = _start_local(int(found[1]), held, cache)
    elif found := SSH.fullmatch(address):
        return _client(_start_ssh(found[1].split(","), found[2], held), held, address)
    if address.startswith("tcp:") and not is_loopback(address):
        note(f"{address} is not encrypted: whoever can reach it can run programs on the workers (use tls://)")
    require_certificates(address, "client")
    return _client(address, held, address)


def require_certificates(address: str, role: str) -> None:
    """Raise UsageError if an address wants TLS, and Dask's configuration has no certificate for a role."""
    from distributed import Security

    if address.startswith("tls:") and Security().get_connection_args(role).get("ssl_context") is None:
        raise UsageError(
            f"{address} needs certificates: set ca-file, {role}.cert and {role}.key below distributed.comm.tls in"
            " Dask's configuration, or in variables such as DASK_DISTRIBUTED__COMM__TLS__CA_FILE"
        )


def _client(cluster: Any, held: contextlib.ExitStack, address: str) -> Client:
    from distributed import Client

    try:
        client = Client(cluster, timeout=CONNECT, set_as_default=False, direct_to_workers=True)
    except (OSError, TimeoutError) as error:
        why = str(error).partition("\n")[0] or type(error).__name__
        raise HostError(
            f"no Dask scheduler answers at {address} ({why}): check the address, and whether tcp:// or tls:// is right"
        ) from None
    except (ValueError, TypeError) as error:  # tls:// without certificates, with others' certificates
        raise UsageError(
            f"--kbisect-scheduler: {address} cannot be used: {error}: check the address and Dask's configuration"
        ) from None
    held.callback(client.close, timeout=5)
    return client


# -- on this machine ---------------------------------------------------------------------------------------


def _start_local(count: int, held: contextlib.ExitStack, cache: Path) -> str:
    """A scheduler and some workers as children of this process, on loopback; the scheduler's address."""
    folder = held.enter_context(scratch_folder(cache / "run"))
    file, log = folder / "scheduler.json", held.enter_context((folder / "scheduler.log").open("wb"))
    scheduler = _child(
        held,
        [
            *(sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"),
            *("--dashboard-address", "127.0.0.1:0", "--scheduler-file", str(file)),
        ],
        log,
    )
    deadline = time.monotonic() + _START
    while not (address := _address_in(file)):
        if scheduler.poll() is not None or time.monotonic() > deadline:
            words = process.tail((folder / "scheduler.log").read_bytes(), 3)
            raise HostError(f"Dask's scheduler did not start: {words}: check the installation ({INSTALL})")
        time.sleep(0.05)
    guests = max(1, parallel.processors() // count)
    for number in range(1, count + 1):
        name = f"local-{number}"
        given = ["--kbisect-cache", str(cache / "farm" / name), "--name", name]
        given += ["--guests", str(guests), "--jobs", str(guests)]
        _child(held, [sys.executable, "-m", "pytest_kbisect.commands", "worker", address, *given], log)
    return address


def _child(held: contextlib.ExitStack, command: list[str], log: Any) -> subprocess.Popen[bytes]:
    child = process.start(command, stdout=log)
    held.callback(process.kill, child)
    return child


def _address_in(file: Path) -> str:
    try:
        return str(json.loads(file.read_text())["address"])
    except (OSError, ValueError, KeyError):
        return ""


# -- by ssh ------------------------------------------------------------------------------------------------


def _start_ssh(hosts: list[str], python: str | None, held: contextlib.ExitStack) -> Any:
    """A scheduler on the first host, and a worker on each. Raises HostError."""
    try:
        import asyncssh
    except ImportError:
        raise HostError(f"no module 'asyncssh', which ssh: needs: install it with {INSTALL}") from None
    from distributed import SSHCluster

    users = [host.rpartition("@") for host in (hosts[0], *hosts)]
    try:
        cluster = SSHCluster(
            [name for _, _, name in users],
            connect_options=[{"username": user} if user else {} for user, _, _ in users],
            worker_class=WORKER_CLASS,
            worker_options={},
            scheduler_options={"port": 0, "dashboard_address": "127.0.0.1:0"},
            remote_python=python,
            silence_logs=logging.CRITICAL,
        )
    except (OSError, asyncssh.Error, RuntimeError) as error:
        why = str(error).partition("\n")[0]
        raise HostError(
            f"no cluster on {', '.join(hosts)} by ssh: {why}: check that ssh HOST works without a password, and that"
            f" {python or sys.executable} -m pytest_kbisect.commands doctor runs there"
        ) from None
    held.callback(cluster.close, timeout=10)
    return cluster
