"""GET and POST to addresses that a client chose.

A name is resolved once and the connection goes to that very address; one that is not public is refused unless it is
allow-listed, also behind a redirect. Time and size are bounded. Knows neither pictures nor webhooks; uses no proxy.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from fooocus_engine import __version__
from fooocus_engine.errors import EngineError

Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Sequence[str]]
"""Host and port → its addresses. Asked once a request and hop."""

PORTS = {"http": 80, "https": 443}
MAX_REDIRECTS = 3  # api.md §2.5
REDIRECTS = (301, 302, 303, 307, 308)
USER_AGENT = f"Mozilla/5.0 (compatible; FooocusEngine/{__version__})"  # some hosts refuse what names no browser
IN_PATHS = "/%:@!$&'()*+,;=~?"  # what stays as it is in a path or query


class RequestFailed(EngineError):
    """No usable answer: unreachable, too slow, too large, or no HTTP. The message names no address."""

    status = 502
    type = "request_failed"


class TargetRefused(RequestFailed):
    """The address is none that may be asked; nothing was sent."""


def addresses_of(host: str, port: int) -> list[str]:
    """The addresses of a host, as the system resolves it."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@dataclass(frozen=True)
class Guard:
    """What may be asked, for how long, and how much may come back."""

    private: tuple[Network, ...] = ()
    """Networks that may be asked although they are not public."""
    timeout_s: float = 10.0
    """From the first connection to the last byte, redirects included. Resolving a name is bounded by the system."""
    max_bytes: int = 20_000_000
    resolve: Resolve = addresses_of
    tls: ssl.SSLContext | None = None
    """``None``: the system's certificates."""

    def allows(self, address: str) -> bool:
        """Whether an address may be connected to."""
        ip = ip_address(address)
        return is_public(ip) or any(ip in network for network in self.private)


class Answer(NamedTuple):
    """What came back. A redirect that was not followed has a ``location``; the body of a POST's answer is not read."""

    status: int
    body: bytes
    location: str | None


def get(url: str, guard: Guard) -> Answer:
    """The answer at ``url``, at most three redirects followed, whatever its status.

    Raises:
        TargetRefused: ``url`` or a redirect leads to what may not be asked.
        RequestFailed: no usable answer.
    """
    deadline = Deadline(guard.timeout_s)
    for _ in range(MAX_REDIRECTS + 1):
        answer = _ask("GET", url, guard, deadline=deadline)
        if answer.status not in REDIRECTS or answer.location is None:
            return answer
        url = _joined(url, answer.location)
    raise RequestFailed(f"more than {MAX_REDIRECTS} redirects")


def post(url: str, body: bytes, guard: Guard, *, headers: Mapping[str, str]) -> Answer:
    """The answer to ``body`` sent to ``url``, whatever its status. A redirect is not followed.

    Raises:
        TargetRefused: ``url`` is none that may be asked.
        RequestFailed: no answer.
    """
    return _ask("POST", url, guard, deadline=Deadline(guard.timeout_s), sent=(body, headers))


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address belongs to the public internet. Those that stand for another one (6to4, NAT64) do not."""
    special = address.is_multicast or address.is_reserved
    if isinstance(address, IPv6Address):
        special = special or address.is_site_local or address.sixtofour is not None
    return address.is_global and not special


class Deadline:
    """Seconds that are left of a time that began with its making."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """More than 0.

        Raises:
            TimeoutError: nothing is left.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Target(NamedTuple):
    scheme: str
    host: str
    port: int
    path: str


def _ask(
    method: str, url: str, guard: Guard, *, deadline: Deadline, sent: tuple[bytes, Mapping[str, str]] | None = None
) -> Answer:
    target = _target(url)
    body, headers = sent or (None, {"Accept-Encoding": "identity"})
    try:
        with _connected(target, guard, deadline) as wire:
            connection = _Connection(target, _Wire(wire, deadline))
            connection.request(method, target.path, body, {"User-Agent": USER_AGENT, **headers})
            response = connection.getresponse()
            location = response.getheader("Location") if response.status in REDIRECTS else None
            content = _content(response, guard.max_bytes) if sent is None and location is None else b""
            return Answer(response.status, content, location)
    except (OSError, http.client.HTTPException) as error:
        raise RequestFailed(_cause(error, guard)) from error


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise TargetRefused("redirects to no valid address") from error


def _target(url: str) -> _Target:
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").encode("idna").decode(), parts.port
    except ValueError as error:
        raise TargetRefused("not a valid address") from error
    if parts.scheme not in PORTS or not host or port == 0:
        raise TargetRefused("must be an http or https address")
    if "@" in parts.netloc:
        raise TargetRefused("must not hold a user name or password")
    path = quote(parts.path or "/", safe=IN_PATHS) + (f"?{quote(parts.query, safe=IN_PATHS)}" if parts.query else "")
    return _Target(parts.scheme, host, port or PORTS[parts.scheme], path)


def _connected(target: _Target, guard: Guard, deadline: Deadline) -> socket.socket:
    """A connection to the first address of the target that takes one; none if a single one of them is refused."""
    addresses = list(dict.fromkeys(guard.resolve(target.host, target.port)))
    if not addresses or not all(guard.allows(address) for address in addresses):
        raise TargetRefused("leads to an address that is not public")
    connection = _first(addresses, target.port, deadline)
    if target.scheme == "http":
        return connection
    try:
        connection.settimeout(deadline.left())
        return (guard.tls or ssl.create_default_context()).wrap_socket(connection, server_hostname=target.host)
    except OSError:
        connection.close()
        raise


def _first(addresses: list[str], port: int, deadline: Deadline) -> socket.socket:
    for tries_left in range(len(addresses), 0, -1):
        try:
            return socket.create_connection((addresses[-tries_left], port), timeout=deadline.left() / tries_left)
        except OSError as error:
            failed = error
    raise failed


def _content(response: http.client.HTTPResponse, most: int) -> bytes:
    announced = response.length
    body = response.read(most + 1) if announced is None or announced <= most else None
    if body is None or len(body) > most:
        raise RequestFailed(f"the answer is larger than {most} bytes")
    if announced is not None and len(body) < announced:
        raise RequestFailed(f"the answer ended after {len(body)} of {announced} bytes")
    return body


def _cause(error: OSError | http.client.HTTPException, guard: Guard) -> str:
    match error:
        case TimeoutError():
            return f"no answer within {guard.timeout_s:g} s"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not valid: {error.verify_message}"
        case socket.gaierror():
            return "its host name cannot be resolved"
        case http.client.RemoteDisconnected():
            return "closed the connection without an answer"
        case OSError():
            return f"cannot be reached: {error.strerror or type(error).__name__}"
        case _:
            return "the answer is no HTTP"


class _Wire:
    """What ``http.client`` needs of a socket, every wait bounded by the deadline of the whole."""

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._connection, self._deadline = connection, deadline

    def sendall(self, data: bytes) -> None:
        self._connection.settimeout(self._deadline.left())
        self._connection.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self._connection, self._deadline))

    def close(self) -> None:
        """Nothing: the response may still be read when ``http.client`` lets go; its owner closes the connection."""


class _Incoming(io.RawIOBase):
    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._connection, self._deadline = connection, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._connection.settimeout(self._deadline.left())
        return self._connection.recv_into(buffer)


class _Connection(http.client.HTTPConnection):
    """A connection that is there already, so that nothing resolves the name again."""

    def __init__(self, target: _Target, wire: _Wire) -> None:
        super().__init__(target.host, target.port)
        self.default_port = PORTS[target.scheme]
        self.sock = wire
