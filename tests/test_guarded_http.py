"""Requests to addresses that a client chose, against servers on loopback; name servers are functions."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fooocus_engine.guarded_http import (
    GuardedHttp,
    TargetFailed,
    TargetRefused,
    _cut_off,
    _Pinned,
    checked_url,
    is_public,
)

PUBLIC = "93.184.216.34"


class Site(BaseHTTPRequestHandler):
    """Answers by the path; remembers what it was asked."""

    def do_GET(self):
        self.server.asked.append((self.path, dict(self.headers), b""))
        match self.path.split("?")[0]:
            case "/text":
                self.answer(200, b"hello", {"Content-Type": "text/plain"})
            case "/round":
                self.answer(302, b"", {"Location": "/round"})
            case "/twice":
                self.answer(301, b"", {"Location": "/once"})
            case "/once":
                self.answer(307, b"", {"Location": "text"})
            case "/away":
                self.answer(302, b"", {"Location": "http://inner.example/secret"})
            case "/short":
                self.answer(200, b"half", {"Content-Length": "8"})
            case "/drip":
                self.drip()
            case _:
                self.answer(404, b"nothing here", {})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, dict(self.headers), body))
        self.answer(307 if self.path == "/moved" else 202, b"", {"Location": "/text"})

    def answer(self, status, body, headers):
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def drip(self):
        """A header line, byte after byte, for as long as somebody listens."""
        self.send_response(200)
        self.end_headers()
        try:
            while not self.server.closing.wait(0.01):
                self.wfile.write(b"x")
        except OSError:
            self.server.hung_up.set()

    def log_message(self, *args):
        pass


@pytest.fixture
def site() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.asked, server.closing, server.hung_up = [], threading.Event(), threading.Event()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    thread.join()
    server.server_close()


def url(site, path="/text", host="127.0.0.1"):
    return f"http://{host}:{site.server_address[1]}{path}"


OPEN = GuardedHttp(allow_private=True)


def test_a_body_and_its_type_are_fetched(site):
    fetched = OPEN.get(url(site))
    assert (fetched.body, fetched.content_type) == (b"hello", "text/plain")


def test_the_name_is_resolved_once_and_stays_the_host(site):
    asked = []

    def resolve(host, port):
        asked.append(host)
        return ["127.0.0.1"]

    GuardedHttp(allow_private=True, resolve=resolve).get(url(site, host="pictures.example"))
    assert asked == ["pictures.example"]
    assert site.asked[0][1]["Host"] == f"pictures.example:{site.server_address[1]}"


def test_an_address_that_does_not_answer_is_followed_by_the_next(site):
    free = socket.create_server(("127.0.0.9", 0))
    free.close()
    http = GuardedHttp(allow_private=True, resolve=lambda host, port: ["127.0.0.9", "127.0.0.1"])
    assert http.get(url(site, host="two.example")).body == b"hello"


def test_path_and_query_are_sent_as_written_and_odd_letters_encoded(site):
    with pytest.raises(TargetFailed, match="status 404"):
        OPEN.get(url(site, "/a%20b/ü?x=1&y=%2F"))
    assert site.asked[0][0] == "/a%20b/%C3%BC?x=1&y=%2F"


def test_redirects_are_followed_up_to_the_limit(site):
    assert GuardedHttp(allow_private=True, max_redirects=2).get(url(site, "/twice")).body == b"hello"
    with pytest.raises(TargetFailed, match="more than 1 redirects"):
        GuardedHttp(allow_private=True, max_redirects=1).get(url(site, "/twice"))


def test_a_redirect_to_a_private_address_is_refused(site):
    known = {"127.0.0.1": "127.0.0.1", "inner.example": "10.0.0.7"}

    class Guard(GuardedHttp):
        def _public_addresses(self, parts):
            return ["127.0.0.1"] if parts.hostname == "127.0.0.1" else super()._public_addresses(parts)

    with pytest.raises(TargetRefused, match=r"'inner\.example' is not a public address"):
        Guard(resolve=lambda host, port: [known[host]]).get(url(site, "/away"))


@pytest.mark.parametrize("addresses", [["127.0.0.1"], [PUBLIC, "192.168.0.1"]])
def test_one_address_that_is_not_public_refuses_the_name(addresses):
    with pytest.raises(TargetRefused):
        GuardedHttp(resolve=lambda host, port: addresses).get("http://name.example/")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fd00::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1",
    ],
)  # fmt: skip
def test_inner_addresses_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_of_the_open_internet_are_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "bad",
    [
        "", "text", "ftp://host/x", "file:///etc/passwd", "http://", "http:///x", "http://user:secret@host/",
        "http://host:99999/", "http://[::1/", "http://host/a b", "http://host/\r\nX: 1", "http://h/" + "x" * 9000,
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(bad):
    with pytest.raises(TargetRefused, match="allowed: http:// or https://"):
        checked_url(bad)


def test_more_bytes_than_allowed_are_not_read(site):
    assert GuardedHttp(allow_private=True, max_bytes=5).get(url(site)).body == b"hello"
    with pytest.raises(TargetFailed, match="more than 4 bytes"):
        GuardedHttp(allow_private=True, max_bytes=4).get(url(site))


def test_a_body_that_ends_too_early_is_a_failure(site):
    with pytest.raises(TargetFailed, match="IncompleteRead"):
        OPEN.get(url(site, "/short"))


def test_a_sender_that_drips_is_cut_off(site):
    with pytest.raises(TargetFailed, match="no whole answer within"):
        GuardedHttp(allow_private=True, timeout_s=0.2).get(url(site, "/drip"))
    assert site.hung_up.wait(60)


def test_a_connection_that_is_not_made_in_time_is_not_there_to_be_cut():
    late = threading.Event()
    with _cut_off(_Pinned("name.example", 80, [], 1.0), 0.001, late):
        assert late.wait(60)


def test_a_closed_port_is_told_without_its_address():
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    with pytest.raises(TargetFailed, match=r"^name\.example cannot be reached: the connection is refused$"):
        GuardedHttp(allow_private=True, resolve=lambda host, port: ["127.0.0.1"]).get(f"http://name.example:{port}/")


def test_a_name_that_is_unknown_is_told():
    def unknown(host, port):
        raise socket.gaierror("no such name")

    with pytest.raises(TargetFailed, match=r"'name\.example' cannot be resolved"):
        GuardedHttp(resolve=unknown).get("http://name.example/")
    with pytest.raises(TargetFailed, match="has no address"):
        GuardedHttp(resolve=lambda host, port: []).get("http://name.example/")


def test_tls_is_spoken_to_an_https_address(site):
    with pytest.raises(TargetFailed, match="encryption is not accepted"):
        OPEN.get(url(site).replace("http://", "https://"))


def test_a_post_carries_body_and_headers_and_gives_the_status(site):
    status = OPEN.post(url(site, "/hook?secret=1"), b'{"a":1}', {"Content-Type": "application/json"})
    path, headers, body = site.asked[0]
    assert (status, path, body) == (202, "/hook?secret=1", b'{"a":1}')
    assert headers["Content-Type"] == "application/json"


def test_a_redirect_of_a_post_is_not_followed(site):
    assert OPEN.post(url(site, "/moved"), b"{}", {}) == 307
    assert len(site.asked) == 1
