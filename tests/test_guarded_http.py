"""Asking addresses that a client chose: which are refused, that a name is resolved once, and the bounds."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fooocus_engine.guarded_http import Guard, RequestFailed, TargetRefused, get, is_public, post
from tests.web import Web, served, unused_port

HERE = Guard(private=(ip_network("127.0.0.1/32"),), timeout_s=60)
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


def test_the_answer_comes_with_its_status(web):
    assert get(web.gives("/fine", b"picture"), HERE) == (200, b"picture", None)
    assert get(web.url("/nowhere"), HERE).status == 404


def test_a_post_sends_its_body_and_headers(web):
    answer = post(web.gives("/hook", b"ignored", 202), b'{"a": 1}', HERE, headers={"Content-Type": "application/json"})
    assert answer == (202, b"", None)
    method, path, headers, body = web.asked[-1]
    assert (method, path, body) == ("POST", "/hook", b'{"a": 1}')
    assert headers["content-type"] == "application/json"
    assert headers["host"] == f"127.0.0.1:{web.port}"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "224.0.0.1", "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1", "fec0::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:8.8.8.8", "2002:7f00:1::", "64:ff9b::7f00:1", "2001::1", "2001:db8::1",
    ],
)  # fmt: skip
def test_what_is_not_public_is_refused(address):
    assert not is_public(ip_address(address))
    assert not Guard().allows(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111"])
def test_what_is_public_is_allowed(address):
    assert Guard().allows(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "127.1"])
def test_no_spelling_of_this_machine_is_asked(host, web):
    asked = len(web.asked)
    with pytest.raises(TargetRefused, match="not public"):
        get(web.url("/fine", host), Guard())
    assert len(web.asked) == asked


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://example.org/x", "http or https"),
        ("file:///etc/passwd", "http or https"),
        ("http://", "http or https"),
        ("http://127.0.0.1:0/", "http or https"),
        ("http://[::1/", "valid address"),
        ("http://127.0.0.1:99999/", "valid address"),
        (f"http://{'a' * 64}.org/", "valid address"),
        ("http://name:word@127.0.0.1/", "user name"),
    ],
)
def test_an_address_of_another_kind_is_refused(url, reason):
    with pytest.raises(TargetRefused, match=reason):
        get(url, HERE)


def test_a_name_is_resolved_once_and_its_address_connected_to(web):
    names = Names(**{"pictures.test": ["127.0.0.1"]})
    web.gives("/fine", b"picture")
    guard = replace(HERE, resolve=names)
    assert get(web.url("/fine", "pictures.test"), guard).body == b"picture"
    assert names.asked == 1
    assert web.asked[-1][2]["host"] == f"pictures.test:{web.port}"


def test_a_name_with_one_refused_address_among_several_is_refused(web):
    guard = replace(HERE, resolve=Names(**{"pictures.test": ["127.0.0.1", "127.0.0.2"]}))
    with pytest.raises(TargetRefused):
        get(web.url("/fine", "pictures.test"), guard)


def test_the_next_address_is_tried_where_one_does_not_answer(web):
    web.gives("/fine", b"picture")
    allowed = (ip_network("127.0.0.0/8"),)  # nothing listens at the first of the two
    guard = replace(HERE, private=allowed, resolve=Names(**{"pictures.test": ["127.0.0.9", "127.0.0.1"]}))
    assert get(web.url("/fine", "pictures.test"), guard).body == b"picture"


def test_redirects_are_followed_relative_ones_too(web):
    web.gives("/fine", b"picture")
    web.redirects("/second", "fine", 307)
    assert get(web.redirects("/first", web.url("/second")), HERE).body == b"picture"


def test_a_redirect_to_a_refused_address_is_not_followed(web):
    web.gives("/fine", b"secret")
    with pytest.raises(TargetRefused):
        get(web.redirects("/away", web.url("/fine", "127.0.0.2")), HERE)
    with pytest.raises(TargetRefused):
        get(web.redirects("/file", "file:///etc/passwd"), HERE)
    with pytest.raises(TargetRefused):
        get(web.redirects("/broken", "http://[::1/"), HERE)


def test_a_circle_of_redirects_ends(web):
    with pytest.raises(RequestFailed, match="3 redirects"):
        get(web.redirects("/circle", "/circle"), HERE)
    assert [path for _, path, _, _ in web.asked].count("/circle") == 4


def test_a_post_follows_no_redirect(web):
    asked = len(web.asked)
    answer = post(web.redirects("/moved", "/fine", 301), b"", HERE, headers={})
    assert (answer.status, answer.location) == (301, "/fine")
    assert len(web.asked) == asked + 1


def test_a_body_may_be_as_large_as_allowed_and_no_larger(web):
    url = web.gives("/large", b"x" * 1000)
    assert len(get(url, replace(HERE, max_bytes=1000)).body) == 1000
    with pytest.raises(RequestFailed, match="larger than 999 bytes"):
        get(url, replace(HERE, max_bytes=999))


def test_a_length_is_not_believed(web):
    web.replies["/unannounced"] = (200, {}, b"x" * 1000)
    with pytest.raises(RequestFailed, match="larger than 999 bytes"):
        get(web.url("/unannounced"), replace(HERE, max_bytes=999))
    web.replies["/cut"] = (200, {"Content-Length": "1000"}, b"x" * 10)
    with pytest.raises(RequestFailed, match="10 of 1000 bytes"):
        get(web.url("/cut"), HERE)


@pytest.mark.parametrize("piece", [b"x", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_server_that_drips_for_ever_is_left(web, piece):
    web.dripping["/drip"] = piece
    with pytest.raises(RequestFailed, match=r"no answer within 0\.2 s"):
        get(web.url("/drip"), replace(HERE, timeout_s=0.2))


def test_no_answer_no_name_and_no_http_are_told_apart(web):
    with pytest.raises(RequestFailed, match="Connection refused"):
        get(f"http://127.0.0.1:{unused_port()}/", HERE)
    with pytest.raises(RequestFailed, match="cannot be resolved"):
        get("http://nowhere.invalid/", HERE)
    web.replies["/odd"] = (200, {"Transfer-Encoding": "chunked"}, b"no chunk")
    with pytest.raises(RequestFailed, match="no HTTP"):
        get(web.url("/odd"), HERE)


@pytest.mark.parametrize(("path", "sent"), [("/a b/ü?q=ü x", "/a%20b/%C3%BC?q=%C3%BC%20x"), ("/a%20b", "/a%20b")])
def test_a_path_is_quoted_once(path, sent, web):
    get(web.url(path), HERE)
    assert web.asked[-1][1] == sent


def certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate for ``name`` with its key, as a PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "certificate.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_a_certificate_must_be_for_the_name_that_was_asked(tmp_path):
    pem = certificate(tmp_path, "pictures.test")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    guard = replace(HERE, resolve=Names(**{"pictures.test": ["127.0.0.1"], "other.test": ["127.0.0.1"]}))
    trusting = replace(guard, tls=ssl.create_default_context(cafile=str(pem)))
    with served(tls=tls) as web:
        web.gives("/fine", b"picture")
        address = f"https://pictures.test:{web.port}/fine"
        assert get(address, trusting).body == b"picture"
        with pytest.raises(RequestFailed, match="certificate is not valid"):
            get(address, guard)
        with pytest.raises(RequestFailed, match="certificate is not valid"):
            get(f"https://other.test:{web.port}/fine", trusting)
