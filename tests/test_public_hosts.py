"""Whom a client may make this process talk to."""

import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network

import pytest

from fooocus_engine.public_hosts import Guard, GuardedConnection, HostRefused, addresses_of
from fooocus_engine.settings import EVERY_NETWORK
from tests.certificates import self_signed, server_context

ANYWHERE = Guard(private=EVERY_NETWORK)


def found_at(*addresses):
    """A guard that lets everything pass, and finds every host at these addresses."""
    return Guard(private=EVERY_NETWORK, resolve=lambda host, port: addresses)


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1",
        "255.255.255.255", "192.0.2.1", "240.0.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1",
        "2001:db8::1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1",
        "2002:7f00:1::", "2002:a9fe:a9fe::1",
        "127.8.8.8", "fc00::1", "fec0::1", "2001::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "2002:808:808::1",
        "64:ff9b:1::808:808",
    ],
)  # fmt: skip
def test_addresses_that_are_not_of_the_public_internet(address):
    assert not Guard().allows(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "64:ff9b::808:808"])
def test_addresses_of_the_public_internet(address):
    assert Guard().allows(address)


def test_one_private_address_among_public_ones_refuses_the_host():
    guard = Guard(resolve=lambda host, port: ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(HostRefused):
        guard.addresses("host", 443)


def test_a_host_with_public_addresses_alone_passes():
    assert len(Guard(resolve=lambda host, port: ["8.8.8.8", "1.1.1.1"]).addresses("host", 443)) == 2


def test_private_hosts_pass_where_the_settings_allow_them():
    guard = Guard(private=(ip_network("10.0.0.0/8"),))
    assert guard.allows("10.1.2.3")
    assert not guard.allows("192.168.1.1")
    assert not guard.allows("::1")


def test_numbers_that_the_system_reads_as_loopback_are_refused():
    for host in ("127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "localhost", "::1"):
        with pytest.raises(HostRefused):
            Guard().addresses(host, 80)


def test_a_name_that_is_none_cannot_be_resolved():
    with pytest.raises(OSError):
        addresses_of("a" * 64 + ".example", 80)


def test_a_name_is_resolved_once_so_that_a_second_answer_gains_nothing(listener):
    host, port = listener.getsockname()
    answers = [[host], ["127.0.0.9"]]
    guard = Guard(private=EVERY_NETWORK, resolve=lambda host, port: answers.pop(0))
    with guard.dial("rebinding.example", port, 10) as connection:
        assert connection.getpeername() == (host, port)
    assert len(answers) == 1


def test_nothing_is_sent_to_a_refused_host(listener):
    host, port = listener.getsockname()
    with pytest.raises(HostRefused):
        Guard().dial(host, port, 10)
    listener.settimeout(0)
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_the_next_address_is_tried_when_one_does_not_answer(listener):
    port = listener.getsockname()[1]
    with found_at("127.0.0.2", "127.0.0.1").dial("host", port, 10) as connection:
        assert connection.getpeername() == ("127.0.0.1", port)


def test_only_the_first_few_addresses_are_tried(listener):
    with pytest.raises(ConnectionRefusedError):
        found_at(*["127.0.0.2"] * 4, "127.0.0.1").dial("host", listener.getsockname()[1], 10)


def test_a_host_without_addresses_is_told():
    with pytest.raises(OSError, match="no address"):
        found_at().addresses("host", 1)


def test_a_connection_names_the_host_and_goes_to_its_checked_address(listener):
    port = listener.getsockname()[1]
    connection = GuardedConnection("store.example", port, found_at("127.0.0.1"), timeout_s=10, tls=None)
    connection.request("GET", "/")
    accepted, _ = listener.accept()
    assert f"Host: store.example:{port}\r\n".encode() in accepted.recv(4096)
    accepted.close()
    connection.close()


@pytest.mark.parametrize(("named", "trusted"), [("store.example", True), ("other.example", False)])
def test_an_encrypted_connection_checks_the_name_of_the_host_it_was_made_for(listener, tmp_path, named, trusted):
    """The address that is dialled plays no part in it."""
    certificate = self_signed(tmp_path, "store.example")
    tls = ssl.create_default_context(cafile=certificate)
    connection = GuardedConnection(named, listener.getsockname()[1], found_at("127.0.0.1"), timeout_s=10, tls=tls)
    server = server_context(certificate).wrap_socket(listener, server_side=True, do_handshake_on_connect=False)
    with ThreadPoolExecutor(1) as thread, server:
        told = thread.submit(first_line, server)
        if trusted:
            connection.request("GET", "/")
            assert told.result() == b"GET / HTTP/1.1\r\n"
        else:
            with pytest.raises(ssl.SSLCertVerificationError):
                connection.request("GET", "/")
            with pytest.raises(ssl.SSLError):
                told.result()
        connection.close()


def first_line(server):
    accepted, _ = server.accept()
    with accepted, accepted.makefile("rb") as stream:
        return stream.readline()


def connected_to(listener, guard=ANYWHERE):
    return GuardedConnection(*listener.getsockname(), guard, timeout_s=60, tls=None)


def test_a_wait_ends_with_the_time_of_the_whole(listener):
    connection = connected_to(listener)
    with pytest.raises(TimeoutError), connection.within(0.01):
        connection.request("GET", "/")
        connection.getresponse()
    connection.close()


def test_an_answer_that_only_the_cut_has_ended_is_none(listener):
    """Without a length an answer lasts until the connection ends, which the cut does too."""
    connection = connected_to(listener)
    with pytest.raises(TimeoutError), connection.within(0.2):
        connection.request("GET", "/")
        accepted, _ = listener.accept()
        accepted.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf")
        with connection.getresponse() as answer:
            assert answer.read() == b"half"
    accepted.close()
    connection.close()


def test_what_ends_in_time_gives_its_own_errors():
    with pytest.raises(ConnectionRefusedError), connected_to(Nowhere()).within(60):
        raise ConnectionRefusedError
    with connected_to(Nowhere()).within(60):
        pass


class Nowhere:
    def getsockname(self):
        return "host", 1


def test_a_connection_that_is_made_too_late_is_not_used(listener):
    others = threading.enumerate()

    def resolve(host, port):
        time_is_up(others)
        return [host]

    connection = connected_to(listener, Guard(private=EVERY_NETWORK, resolve=resolve))
    with pytest.raises(TimeoutError), connection.within(0.001):
        connection.request("GET", "/")
    connection.close()
    accepted, _ = listener.accept()
    with accepted:
        assert accepted.recv(1) == b""


def time_is_up(others):
    """Return once all timers have rung that were started after ``others``."""
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer) and thread not in others:
            thread.join()
