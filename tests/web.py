"""A small web server on a loopback address for tests: paths with fixed answers, and paths that misbehave."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, Mapping[str, str], bytes]


@dataclass(eq=False)
class Web:
    """What the server answers, and what it was asked."""

    port: int = 0
    host: str = "127.0.0.1"
    replies: dict[str, Reply] = field(default_factory=dict)
    dripping: dict[str, bytes] = field(default_factory=dict)
    """Path → bytes that are sent one by one, for ever, in place of an answer."""
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    """Method, path, headers in lower case, body."""
    left: threading.Event = field(default_factory=threading.Event)
    """Somebody has hung up while it dripped."""
    ended: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str, host: str = "") -> str:
        return f"http://{host or self.host}:{self.port}{path}"

    def gives(self, path: str, body: bytes, status: int = 200, **headers: str) -> str:
        """``path`` is answered like this; its address."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.replies[path] = (status, {"Content-Length": str(len(body))} | named, body)
        return self.url(path)

    def redirects(self, path: str, location: str, status: int = 302) -> str:
        return self.gives(path, b"elsewhere", status, Location=location)


@contextmanager
def served(host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    """A running server; it is gone when the context ends."""
    web = Web(host=host)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            web.asked.append((self.command, self.path, headers, self.rfile.read(length)))
            self.close_connection = True
            if self.path in web.dripping:
                return self.drip(web.dripping[self.path])
            status, fields, body = web.replies.get(self.path, (404, {"Content-Length": "0"}, b""))
            self.send_response(status)
            for name, value in fields.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            return None

        def do_POST(self) -> None:
            self.do_GET()

        def drip(self, piece: bytes) -> None:
            try:
                while not web.ended.wait(0.01):
                    self.wfile.write(piece)
            except OSError:
                web.left.set()
                raise

        def log_message(self, *_: Any) -> None:
            """Nothing is told."""

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                self.close_connection = True

    with ThreadingHTTPServer((host, 0), Handler) as server:
        server.daemon_threads = False
        web.port = server.server_port
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield web
        finally:
            web.ended.set()
            server.shutdown()
            thread.join()


def unused_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
