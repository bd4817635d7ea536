"""GET and POST to addresses that a client chose, without becoming the client's way into our own network.

Whom it may talk to is the guard's business, anew for every redirect; size and time are limited. No message repeats an
address, which may hold secrets; the name of a host is told. Knows nothing of pictures or jobs.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from fooocus_engine import __version__
from fooocus_engine.errors import EngineError, shortened
from fooocus_engine.public_hosts import Guard, GuardedConnection, HostRefused

PORTS = {"http": http.client.HTTP_PORT, "https": http.client.HTTPS_PORT}
REDIRECTS = (301, 302, 303, 307, 308)
MAX_REDIRECTS = 3  # api.md §2.5
OK = range(200, 300)
MAX_URL = 8192  # characters
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
AS_WRITTEN = "%/?#[]@!$&'()*+,;=:"  # what stays as it is in a path or query
HEADERS = {
    "User-Agent": f"Mozilla/5.0 (compatible; FooocusEngine/{__version__})",  # some hosts refuse what names no browser
    "Accept": "*/*",
    "Connection": "close",
}


class TargetRefused(EngineError):
    """The address is none that may be asked: malformed, of another scheme, or not public. Nothing was sent."""


class TargetFailed(EngineError):
    """The address was asked and gave nothing usable: unreachable, too slow, too large, or an error status."""


class _Target(NamedTuple):
    scheme: str
    host: str
    port: int
    path: str


@dataclass(frozen=True)
class GuardedHttp:
    """One set of limits; the two methods may be called from any thread, and block it."""

    guard: Guard = field(default_factory=Guard)
    timeout_s: float = 10.0
    """Of a call until its last byte, redirects included. Only the system bounds how long a name takes to resolve."""
    max_bytes: int = 20_000_000
    """Of the body of an answer to GET; that of POST is not read."""
    tls: ssl.SSLContext | None = None
    """``None``: the system's certificates."""
    clock: Callable[[], float] = time.monotonic
    """Seconds."""

    def get(self, url: str) -> bytes:
        """The body at ``url``, at most three redirects away.

        Raises:
            TargetRefused: the address, or one it redirects to, may not be asked.
            TargetFailed: no answer in time, another status than 2xx, or more than ``max_bytes``.
        """
        end = self.clock() + self.timeout_s
        for _ in range(MAX_REDIRECTS + 1):
            with self._answer("GET", url, max(0.001, end - self.clock())) as answer:
                location = answer.getheader("Location")
                if answer.status not in REDIRECTS or location is None:
                    return self._body(answer)
            url = _joined(url, location)
        raise TargetFailed(f"more than {MAX_REDIRECTS} redirects")

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The status that ``body`` sent to ``url`` is answered with; a redirect is not followed.

        Raises:
            TargetRefused: the address may not be asked.
            TargetFailed: no answer in time.
        """
        with self._answer("POST", url, self.timeout_s, (body, headers)) as answer:
            return answer.status

    @contextmanager
    def _answer(
        self, method: str, url: str, left_s: float, sent: tuple[bytes | None, Mapping[str, str]] = (None, {})
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer to one request, its body unread; the connection is closed on leaving."""
        target = _target(url)
        tls = (self.tls or ssl.create_default_context()) if target.scheme == "https" else None
        connection = GuardedConnection(target.host, target.port, self.guard, timeout_s=left_s, tls=tls)
        try:
            with connection.within(left_s):
                connection.request(method, target.path, sent[0], {**HEADERS, **sent[1]})
                with connection.getresponse() as answer:
                    yield answer
        except HostRefused as error:
            raise TargetRefused(f"{shortened(target.host)!r} has an address that is not public") from error
        except (OSError, http.client.HTTPException) as error:
            raise TargetFailed(f"{shortened(target.host)!r} {_reason(error, self.timeout_s)}") from error
        finally:
            connection.close()

    def _body(self, answer: http.client.HTTPResponse) -> bytes:
        if answer.status not in OK:
            raise TargetFailed(f"the answer has status {answer.status}")
        announced = answer.length
        body = answer.read(self.max_bytes + 1) if announced is None or announced <= self.max_bytes else None
        if body is None or len(body) > self.max_bytes:
            raise TargetFailed(f"the answer is larger than {self.max_bytes} bytes")
        if announced is not None and len(body) < announced:
            raise TargetFailed(f"the answer ended after {len(body)} of {announced} bytes")
        return body


def _target(url: str) -> _Target:
    """What to ask for at ``url``, in ASCII; what is percent-encoded stays as it is.

    Raises:
        TargetRefused: it is no absolute http(s) address with a host, or carries a user name.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").encode("idna").decode(), parts.port
        path = quote(parts.path or "/", safe=AS_WRITTEN)
        query = f"?{quote(parts.query, safe=AS_WRITTEN)}" if parts.query else ""
    except ValueError as error:
        raise TargetRefused("not a valid address") from error
    if len(url) > MAX_URL or CONTROL.search(url):
        raise TargetRefused(f"not a valid address; allowed: {MAX_URL} characters without control characters")
    if parts.scheme not in PORTS or not host or " " in host or port == 0:
        raise TargetRefused("must be an http or https address with a host")
    if "@" in parts.netloc:
        raise TargetRefused("must not hold a user name or password")
    return _Target(parts.scheme, host, port or PORTS[parts.scheme], path + query)


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise TargetRefused("redirects to no valid address") from error


def _reason(error: OSError | http.client.HTTPException, timeout_s: float) -> str:
    """The kind of failure in words without addresses or other inner facts."""
    match error:
        case TimeoutError():
            return f"gave no whole answer within {timeout_s:g} s"
        case ssl.SSLCertVerificationError():
            return f"has a certificate that is not valid: {error.verify_message}"
        case ssl.SSLError():
            return "speaks no encryption that is accepted"
        case socket.gaierror():
            return "cannot be resolved"
        case http.client.RemoteDisconnected():
            return "closed the connection without an answer"
        case OSError():
            return f"cannot be reached: {error.strerror or type(error).__name__}"
        case _:
            return "gave an answer that is cut off or no HTTP"
