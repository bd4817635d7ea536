"""Which hosts a client may make this process talk to, and connections to them.

A name is resolved once, every address it has must be public, and the connection goes to one of those addresses: a name
that answers differently the second time gains nothing (architecture.md §2, guarded_http). Knows no request, no redirect
and no proxy.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

MAX_TRIED = 4  # addresses of one host; more of them only make a client's dead host wait longer
NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: how networks without IPv4 reach the IPv4 address in the last four bytes

Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Sequence[str]]
"""Host and port → its IP addresses. Raises ``OSError`` when there is no such host."""


class HostRefused(Exception):
    """A client named a host that is not public."""


def addresses_of(host: str, port: int) -> list[str]:
    """The addresses of a host, as the system's resolver tells them.

    Raises:
        OSError: there is no such host.
    """
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except UnicodeError as error:  # not a host name at all
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from error


@dataclass(frozen=True)
class Guard:
    """Decides whom this process may connect to for a client."""

    private: tuple[Network, ...] = ()
    """Networks that are connected to although they are not public."""
    resolve: Resolve = addresses_of

    def allows(self, address: str) -> bool:
        """Whether an IP address may be connected to."""
        ip = ip_address(address)
        return is_public(ip) or any(ip in network for network in self.private)

    def addresses(self, host: str, port: int) -> Sequence[str]:
        """Every address of ``host``, one at least.

        Raises:
            HostRefused: one of them may not be connected to.
            OSError: there is no such host, or it has no address.
        """
        found = self.resolve(host, port)
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "the host has no address")
        if not all(map(self.allows, found)):
            raise HostRefused("the host has an address that is not public")
        return found

    def dial(self, host: str, port: int, timeout_s: float) -> socket.socket:
        """A connection to the first address of ``host`` that answers; the first few are tried.

        ``timeout_s`` is shared out among the tries, and bounds every wait for the one that answers.

        Raises:
            HostRefused: one of its addresses may not be connected to; nothing was sent to any.
            OSError: none answers.
        """
        tried = self.addresses(host, port)[:MAX_TRIED]
        for address in tried:
            try:
                connection = socket.create_connection((address, port), timeout_s / len(tried))
            except OSError as error:
                failure = error
            else:
                connection.settimeout(timeout_s)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return connection
        raise failure


class GuardedConnection(http.client.HTTPConnection):
    """An HTTP connection that dials through a guard; encrypted, with the host's name checked, if ``tls`` is given."""

    def __init__(self, host: str, port: int, guard: Guard, *, timeout_s: float, tls: ssl.SSLContext | None) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self._guard, self._timeout_s, self._tls = guard, timeout_s, tls
        self.default_port = http.client.HTTPS_PORT if tls else http.client.HTTP_PORT
        self._wire: socket.socket | None = None  # stays known when an answer takes ``sock`` over
        self._late = False

    def connect(self) -> None:
        """Dial, as ``Guard.dial``."""
        self.sock = self._wire = self._guard.dial(self.host, self.port, self._timeout_s)
        if self._tls is not None:
            self.sock = self._wire = self._tls.wrap_socket(
                self.sock, server_hostname=self.host, do_handshake_on_connect=False
            )
        if self._late:  # while there was nothing to cut
            raise TimeoutError
        if isinstance(self.sock, ssl.SSLSocket):
            self.sock.do_handshake()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """The block must end in time, however slowly the other side trickles; what it waits for is cut off.

        Raises:
            TimeoutError: it did not.
        """
        timer = threading.Timer(seconds, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            if self._late:
                raise TimeoutError from error
            raise
        finally:
            timer.cancel()
        if self._late:  # what was read may have ended by the cut
            raise TimeoutError

    def _cut(self) -> None:
        """End the connection under whoever waits for it in another thread."""
        self._late = True
        if self._wire is not None:
            with contextlib.suppress(OSError):  # it has ended by itself
                socket.socket.shutdown(self._wire, socket.SHUT_RDWR)  # an encrypted one's own method is for one thread


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address belongs to the public internet. Those that stand for another one do not, but for NAT64."""
    if address in NAT64:
        return is_public(IPv4Address(address.packed[-4:]))
    special = address.is_multicast or address.is_reserved
    if isinstance(address, IPv6Address):
        special = special or address.is_site_local or (address.ipv4_mapped or address.sixtofour) is not None
    return address.is_global and not special
