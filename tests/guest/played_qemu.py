"""A QEMU that is none: it answers on its monitor, and has a gdb stub; started in its place by `program`."""

from __future__ import annotations

import json
import re
import socket
import sys
from pathlib import Path

from played_stub import Stub


def program(path: Path, **behaviour) -> Path:
    """Write an executable that plays QEMU. `status` is the guest's at first; the rest is of the stub."""
    lines = (
        f"#!{sys.executable}",
        "import sys",
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})",
        f"import played_qemu; played_qemu.play({behaviour!r})",
    )
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o755)
    return path


def play(behaviour) -> None:
    number = next(found[1] for word in sys.argv if (found := re.match(r"socket,id=monitor,fd=(\d+)", word)))
    _Monitor(socket.socket(fileno=int(number)), behaviour).serve()


class _Monitor:
    def __init__(self, connection, behaviour):
        self._connection = connection
        self._status = behaviour.pop("status", "running")
        self._behaviour = behaviour
        self._stub = None

    def serve(self):
        version = {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": ""}
        self._say({"QMP": {"version": version, "capabilities": []}})
        for asked in self._commands():
            answer = self._answer(asked["execute"], asked.get("arguments", {}))
            self._say({"return": answer, **({"id": asked["id"]} if "id" in asked else {})})

    def _commands(self):
        """What comes, object after object: nothing ends a line."""
        text = ""
        while more := self._connection.recv(65536).decode():
            text += more
            while text := text.lstrip():
                try:
                    asked, end = json.JSONDecoder().raw_decode(text)
                except ValueError:
                    break
                yield asked
                text = text[end:]

    def _say(self, what):
        self._connection.sendall(json.dumps(what).encode() + b"\n")

    def _answer(self, command, arguments):
        if command == "query-status":
            status = self._status
            if self._stub and self._stub.connected and not self._stub.runs:
                status = "debug"
            return {"status": status, "running": status == "running", "singlestep": False}
        if command == "cont" and self._stub:
            self._stub.runs = True
        if command == "human-monitor-command":
            path = re.match(r"gdbserver unix:(.*),server", arguments["command-line"])
            self._stub = Stub(path[1], **self._behaviour)
            return ""
        return {}
