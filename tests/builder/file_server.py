"""A server of files on loopback for tests of downloads: good answers, ranges too, and each fault as it is told."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Act = Callable[["Answer"], None]
"""What is done in place of a good answer."""


@dataclass(eq=False)
class Files:
    """What the server has, and what it was asked. ``acts`` are used up, one for each request of a file's bytes."""

    port: int = 0
    content: dict[str, bytes] = field(default_factory=dict)
    acts: dict[str, list[Act]] = field(default_factory=dict)
    greetings: dict[str, list[Act]] = field(default_factory=dict)
    """The same for the first question, after the size."""
    etags: bool = True
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)
    """An answer stands still."""
    ended: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def ranges(self, path: str) -> list[str]:
        """The ranges of the requests for bytes, ``""`` where all were asked for."""
        return [h.get("range", "") for p, h in self.asked if p == path and h.get("range") != "bytes=0-0"]


@dataclass
class Answer:
    """One request, as an act sees it."""

    files: Files
    handler: BaseHTTPRequestHandler
    content: bytes

    @property
    def begin(self) -> int:
        return int(self.handler.headers.get("Range", "bytes=0-")[6:].split("-")[0])

    def head(self, status: int, **headers: str) -> None:
        self.handler.send_response(status)
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.end_headers()

    def send(self, data: bytes) -> None:
        self.handler.wfile.write(data)
        self.handler.wfile.flush()

    def good_head(self, content: bytes | None = None) -> bytes:
        """The head of a good answer; the bytes that belong to it."""
        whole = self.content if content is None else content
        headers = {"ETag": f'"{hashlib.sha256(self.content).hexdigest()[:12]}"'} if self.files.etags else {}
        asked = self.handler.headers.get("Range")
        if asked and self.handler.headers.get("If-Range", headers.get("ETag")) == headers.get("ETag"):
            end = int(asked.split("-")[1] or len(whole) - 1)
            data = whole[self.begin : end + 1]
            told = f"bytes {self.begin}-{self.begin + len(data) - 1}/{len(whole)}"
            self.head(206, Content_Range=told, Content_Length=str(len(data)), **headers)
            return data
        self.head(200, Content_Length=str(len(whole)), **headers)
        return whole


def drops(after: int) -> Act:
    def act(answer: Answer) -> None:
        answer.send(answer.good_head()[:after])

    return act


def resets(after: int) -> Act:
    def act(answer: Answer) -> None:
        answer.send(answer.good_head()[:after])
        answer.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        answer.handler.connection.close()

    return act


def stands_still(after: int) -> Act:
    def act(answer: Answer) -> None:
        answer.send(answer.good_head()[:after])
        answer.files.held.set()
        answer.files.ended.wait(60)

    return act


def drips(size: int) -> Act:
    def act(answer: Answer) -> None:
        data = answer.good_head()
        for begin in range(0, len(data), size):
            answer.send(data[begin : begin + size])

    return act


def spoils(answer: Answer) -> None:
    data = answer.good_head()
    answer.send(bytes([data[0] ^ 1]) + data[1:])


def ignores_ranges(answer: Answer) -> None:
    answer.head(200, Content_Length=str(len(answer.content)))
    answer.send(answer.content)


def sends_another_range(answer: Answer) -> None:
    answer.head(206, Content_Range=f"bytes 0-9/{len(answer.content)}", Content_Length="10")
    answer.send(answer.content[:10])


def says(status: int, **headers: str) -> Act:
    def act(answer: Answer) -> None:
        answer.head(status, Content_Length="0", **headers)

    return act


def shows_a_page(answer: Answer) -> None:
    page = b"<html>Sign in to continue</html>"
    answer.head(200, Content_Length=str(len(page)), Content_Type="text/html; charset=utf-8")
    answer.send(page)


def compresses(answer: Answer) -> None:
    answer.head(200, Content_Length="4", Content_Encoding="gzip")
    answer.send(b"\x1f\x8b\x08\x00")


def tells_no_length(answer: Answer) -> None:
    answer.head(200)
    answer.send(answer.content)


def sends_too_much(answer: Answer) -> None:
    answer.head(200, Transfer_Encoding="chunked")
    for data in (answer.content, b"more", b""):
        answer.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def leads_to(url: str) -> Act:
    def act(answer: Answer) -> None:
        answer.head(302, Location=url, Content_Length="0")

    return act


@contextmanager
def file_server() -> Iterator[Files]:
    """A running server; it is gone when the context ends."""
    files = Files()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.close_connection = True
            path, headers = self.path[1:], {name.lower(): value for name, value in self.headers.items()}
            files.asked.append((path, headers))
            answer = Answer(files, self, files.content.get(path, b""))
            queue = (files.greetings if headers.get("range") == "bytes=0-0" else files.acts).get(path)
            if queue:
                queue.pop(0)(answer)
            elif path in files.content:
                answer.send(answer.good_head())
            else:
                says(404)(answer)

        def log_message(self, *_: Any) -> None:
            """Nothing is told."""

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                self.close_connection = True

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = False
        files.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield files
        finally:
            files.ended.set()
            server.shutdown()
            thread.join()
