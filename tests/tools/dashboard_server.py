"""A local server that behaves like syzbot's dashboard: bugs, files, errors, throttling, half answers."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class DashboardServer:
    """`files` maps addresses to what they give; `trouble` to what goes wrong first, once for each entry.

    An entry of `trouble` is an HTTP status, or "half": the connection ends in the middle.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.trouble: dict[str, list[int | str]] = {}
        self.asked: list[tuple[float, str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path
        self.asked.append((time.monotonic(), path))
        trouble = self.trouble.get(path, [])
        wrong = trouble.pop(0) if trouble else None
        if isinstance(wrong, int):
            self._send(
                handler, wrong, b"<html>throttled</html>", {"Retry-After": "2"} if wrong == 429 else {}
            )
        elif path not in self.files:
            self._send(handler, 404, b"<!doctype html><html>not found</html>", {})
        elif wrong == "half":
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(self.files[path])))
            handler.end_headers()
            handler.wfile.write(self.files[path][: len(self.files[path]) // 2])
            handler.close_connection = True
        else:
            self._send(handler, 200, self.files[path], {})

    @staticmethod
    def _send(handler: BaseHTTPRequestHandler, status: int, content: bytes, headers: dict[str, str]) -> None:
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def paths(self) -> list[str]:
        return [path for _, path in self.asked]


def served() -> Iterator[DashboardServer]:
    """For a fixture."""
    server = DashboardServer()
    yield server
    server.close()
