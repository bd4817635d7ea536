"""Requests to addresses that a client chose, against servers on loopback; name servers are functions."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network

import pytest

from fooocus_engine.guarded_http import GuardedHttp, TargetFailed, TargetRefused
from fooocus_engine.public_hosts import Guard
from tests.certificates import self_signed, server_context
from tests.web import Web, served, unused_port

HERE = GuardedHttp(Guard(private=(ip_network("127.0.0.1/32"),)), timeout_s=60)
"""Allows the test server, and no other loopback address."""


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with served() as web:
        yield web


class Names:
    """A resolver that knows the names it is told, and counts."""

    def __init__(self, **known: list[str]) -> None:
        self.known, self.asked = known, 0

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        return self.known[host]


def knowing(names, *private):
    networks = tuple(map(ip_network, private)) or HERE.guard.private
    return replace(HERE, guard=Guard(networks, names))


def test_a_body_is_fetched(web):
    assert HERE.get(web.gives("/fine", b"picture")) == b"picture"
    assert HERE.get(web.gives("/empty", b"", 204)) == b""


@pytest.mark.parametrize("status", [404, 500, 302, 304])
def test_a_status_that_brings_no_body_is_told(web, status):
    with pytest.raises(TargetFailed, match=f"the answer has status {status}"):
        HERE.get(web.gives("/odd", b"not this", status))


def test_a_post_carries_body_and_headers_and_gives_the_status(web):
    sent = b'{"a": 1}'
    url = web.gives("/hook?secret=1", b"ignored", 202)
    assert HERE.post(url, sent, {"Content-Type": "application/json"}) == 202
    method, path, headers, body = web.asked[-1]
    assert (method, path, body) == ("POST", "/hook?secret=1", sent)
    assert headers["content-type"] == "application/json"
    assert headers["host"] == f"127.0.0.1:{web.port}"


def test_a_post_may_be_empty(web):
    assert HERE.post(web.gives("/hook", b""), b"", {}) == 200
    assert web.asked[-1][2]["content-length"] == "0"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "127.1"])
def test_no_spelling_of_this_machine_is_asked(host, web):
    asked = len(web.asked)
    with pytest.raises(TargetRefused, match="not public"):
        GuardedHttp().get(web.url("/fine", host))
    with pytest.raises(TargetRefused, match="not public"):
        GuardedHttp().post(web.url("/fine", host), b"{}", {})
    assert len(web.asked) == asked


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "http or https"),
        ("text", "http or https"),
        ("ftp://example.org/x", "http or https"),
        ("file:///etc/passwd", "http or https"),
        ("http://", "http or https"),
        ("http:///x", "http or https"),
        ("http://127.0.0.1:0/", "http or https"),
        ("http://a b/", "http or https"),
        ("http://[::1/", "valid address"),
        ("http://127.0.0.1:99999/", "valid address"),
        (f"http://{'a' * 64}.org/", "valid address"),
        ("http://127.0.0.1/\r\nX: 1", "valid address"),
        ("http://127.0.0.1/\0", "valid address"),
        ("http://127.0.0.1/\ud800", "valid address"),
        ("http://127.0.0.1/?\ud800", "valid address"),
        ("http://\ud800/", "valid address"),
        ("http://a\u3000b/", "http or https"),
        ("http://127.0.0.1/" + "x" * 9000, "valid address"),
        ("http://name:hunter2@127.0.0.1/", "user name"),
        ("http://@127.0.0.1/", "user name"),
    ],
)
def test_what_is_no_address_to_ask_is_refused_and_not_repeated(url, reason):
    with pytest.raises(TargetRefused, match=reason) as refused:
        HERE.get(url)
    assert "hunter2" not in str(refused.value)


def test_a_name_is_resolved_once_and_its_address_connected_to(web):
    names = Names(**{"pictures.test": ["127.0.0.1"]})
    web.gives("/fine", b"picture")
    assert knowing(names).get(web.url("/fine", "pictures.test")) == b"picture"
    assert names.asked == 1
    assert web.asked[-1][2]["host"] == f"pictures.test:{web.port}"


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["93.184.216.34", "192.168.0.1"]])
def test_one_address_that_is_not_public_refuses_the_name(addresses):
    http = GuardedHttp(Guard(resolve=lambda host, port: addresses))
    with pytest.raises(TargetRefused, match=r"'name\.test' has an address that is not public"):
        http.get("http://name.test/")


def test_one_address_outside_the_allowed_networks_refuses_the_name(web):
    with pytest.raises(TargetRefused):
        knowing(Names(**{"pictures.test": ["127.0.0.1", "127.0.0.2"]})).get(web.url("/fine", "pictures.test"))


def test_the_next_address_is_tried_where_one_does_not_answer(web):
    web.gives("/fine", b"picture")
    http = knowing(Names(**{"pictures.test": ["127.0.0.9", "127.0.0.1"]}), "127.0.0.0/8")  # nobody listens at the first
    assert http.get(web.url("/fine", "pictures.test")) == b"picture"


def test_redirects_are_followed_relative_ones_too(web):
    web.gives("/fine", b"picture")
    web.redirects("/third", "fine", 307)
    web.redirects("/second", "/third", 301)
    assert HERE.get(web.redirects("/first", web.url("/second"))) == b"picture"


def test_a_redirect_to_a_refused_address_is_not_followed(web):
    web.gives("/fine", b"secret")
    asked = len(web.asked)
    for location in (web.url("/fine", "127.0.0.2"), "file:///etc/passwd", "http://[::1/"):
        with pytest.raises(TargetRefused):
            HERE.get(web.redirects("/away", location))
    assert [path for _, path, _, _ in web.asked[asked:]] == ["/away"] * 3


def test_a_circle_of_redirects_ends(web):
    with pytest.raises(TargetFailed, match="more than 3 redirects"):
        HERE.get(web.redirects("/circle", "/circle"))
    assert [path for _, path, _, _ in web.asked].count("/circle") == 4


@pytest.mark.parametrize("status", [301, 307])
def test_a_post_follows_no_redirect(web, status):
    asked = len(web.asked)
    assert HERE.post(web.redirects("/moved", "/fine", status), b"{}", {}) == status
    assert len(web.asked) == asked + 1


def test_a_body_may_be_as_large_as_allowed_and_no_larger(web):
    url = web.gives("/large", b"x" * 1000)
    assert len(replace(HERE, max_bytes=1000).get(url)) == 1000
    with pytest.raises(TargetFailed, match="larger than 999 bytes"):
        replace(HERE, max_bytes=999).get(url)


def test_a_length_is_not_believed(web):
    web.replies["/unannounced"] = (200, {}, b"x" * 1000)
    with pytest.raises(TargetFailed, match="larger than 999 bytes"):
        replace(HERE, max_bytes=999).get(web.url("/unannounced"))
    web.replies["/cut"] = (200, {"Content-Length": "1000"}, b"x" * 10)
    with pytest.raises(TargetFailed, match="10 of 1000 bytes"):
        HERE.get(web.url("/cut"))


@pytest.mark.parametrize("piece", [b"x", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_server_that_drips_for_ever_is_left(piece):
    with served() as web:
        web.dripping["/drip"] = piece
        with pytest.raises(TargetFailed, match=r"no whole answer within 0\.2 s"):
            replace(HERE, timeout_s=0.2).get(web.url("/drip"))
        assert web.left.wait(60)


def test_all_redirects_share_the_time_of_one_call(web):
    """The second server never answers; it is given what the first has left of the time."""
    now = iter([0.0, 0.0, 9.99])
    http = GuardedHttp(HERE.guard, timeout_s=10, clock=lambda: next(now))
    web.dripping["/drip"] = b"x"
    with pytest.raises(TargetFailed, match="no whole answer within 10 s"):
        http.get(web.redirects("/slow", "/drip"))


def test_no_answer_no_name_and_no_http_are_told_apart(web):
    names = Names(**{"name.test": ["127.0.0.1"], "empty.test": []})
    with pytest.raises(TargetFailed, match=r"^'name\.test' cannot be reached: Connection refused$"):
        knowing(names).get(f"http://name.test:{unused_port()}/")
    with pytest.raises(TargetFailed, match="cannot be resolved"):
        knowing(names).get("http://empty.test/")
    with pytest.raises(TargetFailed, match="cannot be resolved"):
        HERE.get("http://nowhere.invalid/")
    web.replies["/odd"] = (200, {"Transfer-Encoding": "chunked"}, b"no chunk")
    with pytest.raises(TargetFailed, match="cut off or no HTTP"):
        HERE.get(web.url("/odd"))


def test_a_server_that_hangs_up_is_told():
    with served() as web:
        web.dripping["/gone"] = b""
        web.ended.set()
        with pytest.raises(TargetFailed, match="closed the connection without an answer"):
            HERE.get(web.url("/gone"))


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/a b/ü?q=ü x", "/a%20b/%C3%BC?q=%C3%BC%20x"),
        ("/a%20b", "/a%20b"),
        ("/a%20b/ü?x=1&y=%2F", "/a%20b/%C3%BC?x=1&y=%2F"),
        ("?q", "/?q"),
    ],
)
def test_a_path_is_quoted_once(path, sent, web):
    web.gives(sent, b"")
    HERE.get(web.url(path))
    assert web.asked[-1][1] == sent


def test_a_certificate_must_be_for_the_name_that_was_asked(tmp_path):
    certificate = self_signed(tmp_path, "pictures.test")
    http = knowing(Names(**{"pictures.test": ["127.0.0.1"], "other.test": ["127.0.0.1"]}))
    trusting = replace(http, tls=ssl.create_default_context(cafile=certificate))
    with served(tls=server_context(certificate)) as web:
        web.gives("/fine", b"picture")
        address = f"https://pictures.test:{web.port}/fine"
        assert trusting.get(address) == b"picture"
        with pytest.raises(TargetFailed, match="certificate that is not valid"):
            http.get(address)
        with pytest.raises(TargetFailed, match="certificate that is not valid"):
            trusting.get(f"https://other.test:{web.port}/fine")


def test_tls_is_spoken_to_an_https_address(web):
    with pytest.raises(TargetFailed, match="no encryption that is accepted"):
        HERE.get(web.url("/fine").replace("http://", "https://"))
