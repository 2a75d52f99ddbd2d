"""A guest whose gdb stub refuses something, or is late, goes on unwatched; with a stub that is none."""

from __future__ import annotations

import re
import socket
import threading
import time

import pytest

from pytest_kbisect.errors import InfraError
from pytest_kbisect.guest import reached as room
from pytest_kbisect.guest.reached import Reached

ENTRIES = {"pipe_write": (0x1000,), "pipe_read": (0x2000,)}


class Stub:
    """Speaks as QEMU's does: while the guest runs, the first byte that comes stops it, and is no command."""

    def __init__(self, path, *, refuses="", late=0.0, hits=()):
        self.asked = []
        self.runs = False
        self._refuses, self._late, self._hits = refuses, late, list(hits)
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._thread = threading.Thread(target=self._serve)
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
            self.runs = True
            self._say("OK")
        else:
            self._say("E22" if self._refuses and command.startswith(self._refuses) else "OK")

    def _say(self, text):
        self._connection.sendall(b"+$%b#%02x" % (text.encode(), sum(text.encode()) % 256))


@pytest.fixture
def stub(tmp_path, request):
    serving = Stub(tmp_path / "stub", **getattr(request, "param", {}))
    yield serving
    serving._connection.shutdown(socket.SHUT_RDWR)  # as a QEMU that ends
    serving.close()


@pytest.mark.parametrize("stub", [{"hits": [0x2000]}], indirect=True)
def test_a_hit_is_noted_and_its_breakpoint_taken_out(stub, tmp_path):
    reached = Reached(tmp_path / "stub", ENTRIES)
    stub.wait(lambda stub: stub.runs)
    assert (reached.hit, reached.trouble) == ({"pipe_read"}, "")
    assert stub.asked == ["Z0,1000,1", "Z0,2000,1", "c", "g", "z0,2000,1", "c"]


@pytest.mark.parametrize("stub", [{"refuses": "Z0,2000"}], indirect=True)
def test_a_breakpoint_that_cannot_be_set_does_not_hold_the_guest(stub, tmp_path):
    with pytest.raises(InfraError, match="failed at Z0,2000,1: 'E22'"):
        Reached(tmp_path / "stub", ENTRIES)
    stub.wait(lambda stub: stub.runs)
    assert stub.asked[-1] == "D"


@pytest.mark.parametrize("stub", [{"late": 0.3}], indirect=True)
def test_nor_does_a_stub_that_answers_late(stub, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_ANSWER", 0.1)
    with pytest.raises(InfraError, match="does not answer"):
        Reached(tmp_path / "stub", ENTRIES)
    stub.wait(lambda stub: stub.runs)
    assert stub.asked == ["Z0,1000,1", "D"]


@pytest.mark.parametrize(
    "stub", [{"hits": [0x1000], "refuses": "g"}, {"hits": [0x1000], "refuses": "z0"}], indirect=True
)
def test_nor_one_that_fails_at_a_hit(stub, tmp_path):
    reached = Reached(tmp_path / "stub", ENTRIES)
    stub.wait(lambda stub: stub.runs)
    assert stub.asked[-1] == "D"
    assert "gdb stub" in reached.trouble
