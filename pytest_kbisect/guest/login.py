"""How a person logs in to a guest."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_kbisect.guest.vm import Guest


def ssh_command(guest: Guest) -> list[str]:
    """What to type to be root in the guest; the user's own ssh settings and keys play no part."""
    image, port = guest.image, guest.ssh_port()
    known = guest.directory / "known_hosts"
    if image.disk is None:
        key = base64.b64encode(image.host_key).decode()
        known.write_text(f"[127.0.0.1]:{port} {image.host_key_type} {key}\n")
    settings = [
        *("IdentitiesOnly=yes", f"UserKnownHostsFile={known}", "GlobalKnownHostsFile=/dev/null"),
        *(["StrictHostKeyChecking=accept-new"] if image.disk else []),
    ]
    words = [word for setting in settings for word in ("-o", setting)]
    return ["ssh", "-F", "none", "-i", str(image.client_key), "-p", str(port), *words, "root@127.0.0.1"]
