"""`kbisect worker`: offer this host's processors and guests to bisections elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from typing import TYPE_CHECKING, Any, Final

from pytest_kbisect import options
from pytest_kbisect.cluster_address import is_loopback
from pytest_kbisect.errors import ExitCode, UsageError

if TYPE_CHECKING:
    import argparse

_AGAIN: Final = 5.0
"""Seconds until a scheduler that was lost is tried again."""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "worker",
        help="run sessions of bisections that are driven elsewhere",
        description="Check this host as `kbisect doctor` does, then run sessions for the bisections that use the same"
        " Dask scheduler, until Ctrl-C. A worker runs the kernels and programs that drivers send.",
    )
    parser.add_argument(
        "address", metavar="ADDRESS", help="of the scheduler: tcp://HOST:PORT or tls://HOST:PORT"
    )
    parser.add_argument(
        "--kbisect-cache", dest="cache", type=options.path, metavar="DIR", help="as for pytest"
    )
    parser.add_argument(
        "--kbisect-kernel",
        dest="kernel",
        type=options.path,
        metavar="DIR",
        help="a clone of Linux on this host, which is only read: commits that it has are not sent",
    )
    parser.add_argument(
        "--kbisect-store-size", dest="store_size", type=int, metavar="GIB", help="as for pytest"
    )
    parser.add_argument("--name", metavar="NAME", help="how reports call this host (default: its host name)")
    parser.add_argument(
        "--sessions",
        type=int,
        default=1,
        metavar="N",
        help="sessions at a time (default: 1); they share the guests",
    )
    parser.add_argument(
        "--guests", type=int, metavar="N", help="guests at a time, in all (default: by processors and memory)"
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="make's -j, in all (default: one for each processor)"
    )
    parser.add_argument(
        "--listen",
        metavar="HOST",
        help="address or interface of this host at which drivers and other workers reach it (default: loopback)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Work until a signal ends it."""
    from pytest_kbisect.farm import clusters

    clusters.require_distributed()
    _check(arguments)
    clusters.require_certificates(arguments.address, "worker")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_work(arguments))
    return ExitCode.FOUND


def _check(arguments: argparse.Namespace) -> None:
    if not arguments.address.startswith(("tcp://", "tls://")):
        raise UsageError(
            f"{arguments.address} is no address of a scheduler: give tcp://HOST:PORT or tls://HOST:PORT"
        )
    if not is_loopback(arguments.address) and not arguments.listen:
        raise UsageError(
            "drivers could not reach this worker, because it listens on loopback only: add --listen with the address"
            " of this host in a network that you trust, and use tls://"
        )
    for name in ("sessions", "guests", "jobs", "store_size"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')}: {value} cannot be used: give a number from 1 on")


async def _work(arguments: argparse.Namespace) -> None:
    """Be a worker of that scheduler, and again when it was lost and is back."""
    from pytest_kbisect.farm.farm_worker import FarmWorker

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, ending.set)
    said = False
    while not ending.is_set():
        try:
            worker = await FarmWorker(arguments.address, **_options(arguments))
        except (OSError, TimeoutError) as error:
            if not said:
                _say(
                    f"no scheduler answers at {arguments.address} ({_words(error)}): trying again every {_AGAIN:g} s"
                )
            said = True
            await _pause(ending)
            continue
        except ValueError as error:
            raise UsageError(
                f"the scheduler does not take this worker: {_words(error)}: try another --name"
            ) from None
        said = False
        _tell(worker)
        waiting = [asyncio.ensure_future(worker.finished()), asyncio.ensure_future(ending.wait())]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for one in waiting:
            one.cancel()
        if not ending.is_set():
            _say(f"the scheduler at {arguments.address} was lost: all sessions have been ended")
        await worker.close(reason="kbisect-worker-ends")
        await _pause(ending)


async def _pause(ending: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ending.wait(), _AGAIN)


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    named: dict[str, Any] = {
        "kbisect_cache": str(arguments.cache) if arguments.cache else None,
        "kbisect_kernel": str(arguments.kernel) if arguments.kernel else None,
        "kbisect_store_size": arguments.store_size,
        "sessions": arguments.sessions,
        "guests": arguments.guests,
        "jobs": arguments.jobs,
    }
    if arguments.name:
        named["name"] = arguments.name
    listen = arguments.listen or "127.0.0.1"
    # An interface's name has no dot and no colon.
    named["host" if "." in listen or ":" in listen else "interface"] = listen
    return named


def _tell(worker: Any) -> None:
    offer = worker.constant
    for finding in offer["findings"]:
        if finding["state"] != "ok":
            _say(f"{finding['state']}: {finding['text']}")
    fit = "" if not offer["faults"] else ": no bisection uses it before that is corrected"
    _say(
        f"worker {worker.host_name} at {worker.address}: {offer['sessions']} sessions, {offer['guests']} guests,"
        f" cache {worker.cache}{fit}"
    )


def _words(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _say(words: str) -> None:
    with contextlib.suppress(OSError):
        print(f"kbisect: {words}", flush=True)
