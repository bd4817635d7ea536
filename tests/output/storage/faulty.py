"""An HTTP server that does to requests what a test has written down, and hands all others on to a real server."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RESET = struct.pack("ii", 1, 0)  # linger for no time: closing answers with a reset


class Visit(BaseHTTPRequestHandler):
    """One connection. Faults are functions of it."""

    protocol_version = "HTTP/1.1"
    server: FaultyServer

    def do_PUT(self) -> None:
        self.server.seen.append(f"{self.command} {self.path}")
        fault = self.server.faults.popleft() if self.server.faults else hand_on
        fault(self)

    do_GET = do_HEAD = do_PUT  # noqa: N815

    def body(self, share: float = 1) -> bytes:
        """The first ``share`` of what the client sends."""
        return self.rfile.read(int(int(self.headers.get("Content-Length", 0)) * share))

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        for name, value in {"Content-Type": "application/xml", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.command != "HEAD" else b"")

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


Fault = Callable[[Visit], None]


@dataclass(eq=False)
class FaultyServer(ThreadingHTTPServer):
    """``faults`` are used up one per request; then all is handed on to ``backend``, a port."""

    backend: int
    faults: deque[Fault] = field(default_factory=deque)
    seen: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    daemon_threads = True

    def __post_init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Visit)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are part of the play."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def faulty_server(backend: int, *faults: Fault) -> Iterator[FaultyServer]:
    """A server before the one at port ``backend``, until the context is left."""
    server = FaultyServer(backend, deque(faults))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def hand_on(visit: Visit, change: Callable[[bytes], bytes] = lambda body: body) -> None:
    """What the real server answers to the same request; ``change`` is done to the body first."""
    backend = http.client.HTTPConnection("127.0.0.1", visit.server.backend, timeout=60)
    headers = {name: value for name, value in visit.headers.items() if name != "Expect"}
    backend.request(visit.command, visit.path, body=change(visit.body()), headers=headers)
    answer = backend.getresponse()
    kept = {name: value for name, value in answer.headers.items() if name not in ("Content-Length", "Date")}
    visit.answer(answer.status, answer.read(), kept)
    backend.close()


def refuse(status: int, code: str, message: str = "") -> Fault:
    """An S3 error with this status and code, after the body has been read."""

    def fault(visit: Visit) -> None:
        visit.body()
        said = message or visit.headers["Authorization"]  # some stores repeat what they were sent
        visit.answer(status, f"<Error><Code>{code}</Code><Message>{said}</Message></Error>".encode())

    return fault


def page(status: int) -> Fault:
    """What a gateway in front of a store says: no XML."""

    def fault(visit: Visit) -> None:
        visit.body()
        visit.answer(status, b"<!doctype html><p>out to lunch", {"Content-Type": "text/html"})

    return fault


def welcome(visit: Visit) -> None:
    """What a web server says that is no store."""
    visit.body()
    visit.answer(200, b"<!doctype html><p>welcome", {"Content-Type": "text/html"})


def garbage(visit: Visit) -> None:
    """Something that is no HTTP."""
    visit.body()
    visit.wfile.write(b"SSH-2.0-nothing here\r\n\r\n")
    visit.close_connection = True


def reset(visit: Visit) -> None:
    """A connection that breaks in the middle of the body."""
    visit.body(0.5)
    visit.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    visit.close_connection = True


def break_behind(visit: Visit) -> None:
    """Half of the body reaches the real server; then all connections break."""
    backend = socket.create_connection(("127.0.0.1", visit.server.backend))
    head = [f"{visit.command} {visit.path} HTTP/1.1", *(f"{n}: {v}" for n, v in visit.headers.items() if n != "Expect")]
    backend.sendall("\r\n".join([*head, "", ""]).encode() + visit.body(0.5))
    backend.close()
    reset(visit)


def corrupt(visit: Visit) -> None:
    """One byte changes on the way, so that the real server finds a wrong checksum."""
    hand_on(visit, lambda body: bytes([body[0] ^ 1]) + body[1:])


def silent(visit: Visit) -> None:
    """No answer until the test is over."""
    visit.body()
    visit.server.released.wait()
    visit.close_connection = True
