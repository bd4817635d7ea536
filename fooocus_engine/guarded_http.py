"""GET and POST to addresses that a client chose, without becoming the client's way into our own network.

A name is resolved once, every address it has must be a public one, and only those are dialled (so a second answer of
the name server changes nothing); Host header and TLS still carry the name. Size and total time are limited,
redirects of a GET are checked anew, those of a POST are answers. No proxy is used. Knows nothing of pictures or jobs.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from fooocus_engine.errors import EngineError, shortened

PORTS = {"http": 80, "https": 443}
REDIRECTS = (301, 302, 303, 307, 308)
OK = range(200, 300)
MAX_URL = 8192  # characters
CHUNK = 65536  # bytes read at a time
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last four bytes are an IPv4 address

Resolver = Callable[[str, int], Sequence[str]]
"""Host name and port → the IP addresses it has. Raises ``OSError`` if there are none."""


class TargetRefused(EngineError):
    """The address is none that may be asked for: malformed, of another scheme, or not public."""


class TargetFailed(EngineError):
    """The address was asked and gave nothing usable: unreachable, too slow, too large, or an error status."""


def resolved(host: str, port: int) -> Sequence[str]:
    """The addresses of a host name, by the system's resolver."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@dataclass(frozen=True)
class Fetched:
    """What a GET brought."""

    body: bytes
    content_type: str


@dataclass(frozen=True)
class GuardedHttp:
    """One set of limits; the two methods may be called from any thread, and block it."""

    allow_private: bool = False
    timeout_s: float = 10.0
    """Of one request after its name is resolved: connection, request and whole answer."""
    max_bytes: int = 20_000_000
    max_redirects: int = 3
    resolve: Resolver = resolved

    def get(self, url: str) -> Fetched:
        """The body at ``url``, after at most ``max_redirects`` redirects.

        Raises:
            TargetRefused: the address, or one it redirects to, may not be asked for.
            TargetFailed: no answer in time, another status than 2xx, or more than ``max_bytes``.
        """
        for _ in range(self.max_redirects + 1):
            with self._answer("GET", url, b"", {}) as answer:
                target = answer.headers.get("Location")
                if answer.status not in REDIRECTS or target is None:
                    return Fetched(self._body(answer), answer.headers.get("Content-Type", ""))
                url = urljoin(url, target)
        raise TargetFailed(f"more than {self.max_redirects} redirects")

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The status that a POST of ``body`` is answered with; redirects are not followed.

        Raises:
            TargetRefused: the address may not be asked for.
            TargetFailed: no answer in time.
        """
        with self._answer("POST", url, body, headers) as answer:
            return answer.status

    @contextmanager
    def _answer(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer to one request, its body unread; the connection is closed on leaving."""
        parts = checked_url(url)
        connection = _connection(parts, self._public_addresses(parts), self.timeout_s)
        late = threading.Event()
        try:
            with _cut_off(connection, self.timeout_s, late):
                connection.request(method, _path(parts), body or None, {**_HEADERS, **headers})
                yield connection.getresponse()
            if late.is_set():
                raise TimeoutError
        except (OSError, http.client.HTTPException, ValueError) as error:
            timed_out = late.is_set() or isinstance(error, TimeoutError)
            why = f"no whole answer within {self.timeout_s:g} s" if timed_out else _reason(error)
            raise TargetFailed(f"{shortened(parts.hostname)} cannot be reached: {why}") from error
        finally:
            connection.close()

    def _public_addresses(self, parts: SplitResult) -> Sequence[str]:
        """The addresses of the host, all of which have been found public."""
        host = str(parts.hostname)
        try:
            addresses = self.resolve(host, parts.port or PORTS[parts.scheme])
        except (OSError, UnicodeError) as error:
            raise TargetFailed(f"the name {shortened(host)!r} cannot be resolved") from error
        if not addresses:
            raise TargetFailed(f"the name {shortened(host)!r} has no address")
        if not self.allow_private and not all(map(is_public, addresses)):
            raise TargetRefused(f"{shortened(host)!r} is not a public address")
        return addresses

    def _body(self, answer: http.client.HTTPResponse) -> bytes:
        if answer.status not in OK:
            raise TargetFailed(f"the address answers with status {answer.status}")
        body = bytearray()
        while chunk := answer.read(CHUNK):
            body += chunk
            if len(body) > self.max_bytes:
                raise TargetFailed(f"the address sends more than {self.max_bytes} bytes")
        if answer.length:
            raise http.client.IncompleteRead(b"", answer.length)
        return bytes(body)


_HEADERS = {
    "User-Agent": "Mozilla/5.0 (compatible; fooocus-engine)",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Connection": "close",
}
_AS_WRITTEN = "%/?#[]@!$&'()*+,;=:"  # of a URL's path and query


def checked_url(url: str) -> SplitResult:
    """``url`` in its parts.

    Raises:
        TargetRefused: it is no absolute http(s) address with a host, or carries a user name.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in PORTS and bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        usable = False
    if not usable or len(url) > MAX_URL or any(ord(character) <= ord(" ") for character in url):
        raise TargetRefused(f"{shortened(url)!r} is no address; allowed: http:// or https:// with a host name")
    return parts


def is_public(address: str) -> bool:
    """Whether an IP address lies on the open Internet; an IPv4 address inside an IPv6 one decides for it."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ipaddress.IPv4Address(ip.packed[-4:]) if ip in NAT64 else None)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


class _Pinned(http.client.HTTPConnection):
    """Names the host and dials the addresses it is given (one at least), in order."""

    def __init__(self, host: str, port: int, addresses: Sequence[str], timeout_s: float) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self.addresses = addresses
        self.dialled: socket.socket | None = None  # stays known when the answer takes ``sock`` over

    def connect(self) -> None:
        for address in self.addresses:
            try:
                self.sock = self.dialled = socket.create_connection((address, self.port), self.timeout)
                return
            except OSError as error:
                failure = error
        raise failure


class _PinnedTls(_Pinned):
    default_port = PORTS["https"]

    def connect(self) -> None:
        super().connect()
        tls = ssl.create_default_context()
        self.sock = self.dialled = tls.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
        self.sock.do_handshake()


def _connection(parts: SplitResult, addresses: Sequence[str], timeout_s: float) -> _Pinned:
    kind = _PinnedTls if parts.scheme == "https" else _Pinned
    return kind(str(parts.hostname), parts.port or PORTS[parts.scheme], addresses, timeout_s)


@contextmanager
def _cut_off(connection: _Pinned, seconds: float, late: threading.Event) -> Iterator[None]:
    """End the connection after so many seconds: its own timeout only bounds the wait for the next byte."""

    def cut() -> None:
        late.set()
        if connection.dialled is not None:
            with suppress(OSError):  # it ended by itself at the same moment
                connection.dialled.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _path(parts: SplitResult) -> str:
    """Path and query in ASCII; what is percent-encoded stays as it is."""
    path = quote(parts.path or "/", safe=_AS_WRITTEN)
    return f"{path}?{quote(parts.query, safe=_AS_WRITTEN)}" if parts.query else path


def _reason(error: Exception) -> str:
    """The kind of failure in words without addresses or other inner facts."""
    match error:
        case ssl.SSLError():
            return "its certificate or its encryption is not accepted"
        case ConnectionRefusedError():
            return "the connection is refused"
        case _:
            return f"the connection failed ({type(error).__name__})"
