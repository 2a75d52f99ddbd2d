"""Certificates for TLS, as Dask documents them: one authority, one certificate for all roles."""

from __future__ import annotations

import subprocess
from pathlib import Path


def environment(folder: Path) -> dict[str, str]:
    """Variables that name certificates made in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    command += ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    roles = {
        f"{role}__{what}": path
        for role in ("SCHEDULER", "WORKER", "CLIENT")
        for what, path in (("CERT", cert), ("KEY", key))
    }
    prefix = "DASK_DISTRIBUTED__COMM__TLS__"
    return {f"{prefix}CA_FILE": str(cert), **{f"{prefix}{name}": str(path) for name, path in roles.items()}}
