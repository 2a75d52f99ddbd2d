"""What `--kbisect-scheduler` can name: a cluster that runs already, or one to start."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

LOCAL: Final = re.compile(r"local:([1-9][0-9]*)")
"""So many worker processes on this machine."""
SSH: Final = re.compile(r"ssh:([^:]+)(?::(/.*))?")
"""Hosts, with commas between them, and perhaps the path of Python there."""


def check(text: str) -> str:
    """The address. Raises ValueError for what is none."""
    if LOCAL.fullmatch(text) or SSH.fullmatch(text):
        return text
    found = urlsplit(text)
    with contextlib.suppress(ValueError):
        if found.scheme in {"tcp", "tls"} and found.hostname and found.port:
            return text
    raise ValueError("must be tcp://HOST:PORT, tls://HOST:PORT, ssh:HOST,HOST or local:N")


def is_loopback(address: str) -> bool:
    """Whether an address can be reached from its own machine only."""
    host = urlsplit(address).hostname or address
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
