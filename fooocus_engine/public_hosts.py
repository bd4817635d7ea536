"""Which hosts a client may make this process talk to, and connections to them.

A name is resolved once, every address it has must be public, and the connection goes to one of those addresses: a name
that answers differently the second time gains nothing (architecture.md §2, guarded_http). Knows no protocol above HTTP.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MAX_TRIED = 4  # addresses of one host; more of them only make a client's dead host wait longer
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last four bytes are an IPv4 address

Resolve = Callable[[str, int], list[tuple[Any, ...]]]
"""Host and port → the rows of ``socket.getaddrinfo``. Raises ``OSError`` when there is no such host."""


class HostRefused(Exception):
    """A client named a host that is not public."""


def resolve_tcp(host: str, port: int) -> list[tuple[Any, ...]]:
    """The addresses of a host, as the system's resolver tells them.

    Raises:
        OSError: there is no such host.
    """
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except UnicodeError as error:  # not a host name at all
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from error


@dataclass(frozen=True)
class Guard:
    """Decides whom this process may connect to for a client. ``allow_private`` lets everything pass."""

    allow_private: bool = False
    resolve: Resolve = resolve_tcp

    def addresses(self, host: str, port: int) -> list[tuple[Any, ...]]:
        """Every address of ``host``, as rows of ``socket.getaddrinfo``.

        Raises:
            HostRefused: one of them is not public.
            OSError: there is no such host.
        """
        rows = self.resolve(host, port)
        if not self.allow_private and not all(is_public(row[4][0]) for row in rows):
            raise HostRefused("the host has an address that is not public")
        return rows

    def dial(self, host: str, port: int, timeout_s: float) -> socket.socket:
        """A connection to the first address of ``host`` that answers; the first few are tried.

        Raises:
            HostRefused: one of its addresses is not public; nothing was sent to any.
            OSError: none answers.
        """
        failure = OSError("the host has no address")
        for family, kind, protocol, _, address in self.addresses(host, port)[:MAX_TRIED]:
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(timeout_s)
                connection.connect(address)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return connection
            except OSError as error:
                connection.close()
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


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet. What is no address is not."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return all(part.is_global and not part.is_multicast for part in (ip, *_inside(ip)))


def _inside(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address leads to."""
    if isinstance(ip, ipaddress.IPv4Address):
        return []
    inside = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if ip in NAT64:
        inside.append(ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF))
    return [address for address in inside if address is not None]
