"""QEMU's gdb stub, played."""

from __future__ import annotations

import re
import socket
import threading
import time


class Stub:
    """Speaks as QEMU's does: while the guest runs, the first byte that comes stops it, and is no command."""

    def __init__(self, path, *, refuses="", late=0.0, hits=(), deaf=False):
        """`refuses` is the beginning of a command, `late` seconds; `deaf`: D does not let the guest run."""
        self.asked = []
        self.connected = False
        self.runs = False
        self._refuses, self._late, self._hits, self._deaf = refuses, late, list(hits), deaf
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self):
        self._listening.close()
        self._thread.join(5)
        assert not self._thread.is_alive()

    def wait(self, what):
        deadline = time.monotonic() + 5
        while not what(self) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert what(self), self.asked

    def _serve(self):
        self._connection, _ = self._listening.accept()
        self.connected = True
        with self._connection:
            buffer = b""
            while more := self._connection.recv(4096):
                buffer += more
                if self.runs and buffer.lstrip(b"+"):
                    self.runs, buffer = False, buffer.lstrip(b"+")[1:]
                while found := re.match(rb"[^$]*\$([^#]*)#..", buffer):
                    buffer = buffer[found.end() :]
                    self._answer(found[1].decode())

    def _answer(self, command):
        self.asked.append(command)
        if self._late:
            time.sleep(self._late)
        if command == "c":
            self.runs = not self._hits
            if self._hits:
                self._say("T05thread:01;")
        elif command == "g":
            address = self._hits.pop(0).to_bytes(8, "little").hex()
            self._say("E01" if self._refuses == "g" else "00" * 128 + address + "00" * 64)
        elif command == "D":
            self.runs = not self._deaf
            self._say("OK")
        else:
            self._say("E22" if self._refuses and command.startswith(self._refuses) else "OK")

    def _say(self, text):
        self._connection.sendall(b"+$%b#%02x" % (text.encode(), sum(text.encode()) % 256))
