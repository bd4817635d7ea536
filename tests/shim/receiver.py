"""A receiver of webhooks on loopback, on a thread of its own: answers as it is told, keeps what it was sent."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(eq=False)
class Receiver:
    """``answers`` are the statuses of the next deliveries, then 200; ``"hang"`` answers only when ``let_go`` is set."""

    url: str = ""
    answers: deque[Any] = field(default_factory=deque)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)
    let_go: threading.Event = field(default_factory=threading.Event)

    def wait_for(self, times: int) -> list[dict[str, Any]]:
        """The bodies, once so many have come."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.got) >= times, timeout=120), self.got
            return [json.loads(body) for _, body in self.got]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A running receiver."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with found.arrived:
                found.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                found.arrived.notify_all()
            answer = found.answers.popleft() if found.answers else 200
            if answer == "hang":
                found.let_go.wait()
                return
            self.send_response(answer)
            if answer in (301, 302, 307):
                self.send_header("Location", found.url + "/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing is told."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield found
        finally:
            found.let_go.set()
            server.shutdown()
            thread.join()
