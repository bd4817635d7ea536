"""Which hosts a client may make this process talk to, and connections to them.

A name is resolved once, every address it has must be public, and the connection goes to one of those addresses: a name
that answers differently the second time gains nothing (architecture.md §2, guarded_http). Knows no protocol above HTTP.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

MAX_TRIED = 4  # addresses of one host; more of them only make a client's dead host wait longer

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
        """Every address of ``host``.

        Raises:
            HostRefused: one of them may not be connected to.
            OSError: there is no such host.
        """
        found = self.resolve(host, port)
        if not all(map(self.allows, found)):
            raise HostRefused("the host has an address that is not public")
        return found

    def dial(self, host: str, port: int, timeout_s: float) -> socket.socket:
        """A connection to the first address of ``host`` that answers; the first few are tried.

        Raises:
            HostRefused: one of its addresses may not be connected to; nothing was sent to any.
            OSError: none answers.
        """
        failure = OSError("the host has no address")
        for address in self.addresses(host, port)[:MAX_TRIED]:
            try:
                connection = socket.create_connection((address, port), timeout_s)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return connection
            except OSError as error:
                failure = error
        raise failure


class GuardedConnection(http.client.HTTPConnection):
    """An HTTP connection that dials through a guard; encrypted, with the host's name checked, if ``tls`` is given."""

    def __init__(self, host: str, port: int, guard: Guard, *, timeout_s: float, tls: ssl.SSLContext | None) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self._guard, self._timeout_s, self._tls = guard, timeout_s, tls
        self.default_port = http.client.HTTPS_PORT if tls else http.client.HTTP_PORT

    def connect(self) -> None:
        """Dial, as ``Guard.dial``."""
        plain = self._guard.dial(self.host, self.port, self._timeout_s)
        if self._tls is None:
            self.sock = plain
            return
        encrypted = self._tls.wrap_socket(plain, server_hostname=self.host, do_handshake_on_connect=False)
        self.sock = encrypted  # from here on it can be cut
        encrypted.do_handshake()

    def cut(self) -> None:
        """End the connection under whoever waits for it, in another thread; the wait then fails with ``OSError``."""
        connected = self.sock
        if connected is not None:
            with contextlib.suppress(OSError):  # it has ended by itself
                socket.socket.shutdown(connected, socket.SHUT_RDWR)  # an encrypted one's own method is for one thread


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address belongs to the public internet. Those that stand for another one (6to4, NAT64) do not."""
    special = address.is_multicast or address.is_reserved
    if isinstance(address, IPv6Address):
        special = special or address.is_site_local or address.sixtofour is not None
    return address.is_global and not special
