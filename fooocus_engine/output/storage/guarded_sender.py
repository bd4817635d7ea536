"""Sends botocore's requests over guarded connections, to a store whose address a client chose.

Hangs on botocore's event ``before-send``, whose listener may answer in place of its own transport.
"""

from __future__ import annotations

import http.client
import io
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import HTTPClientError
from botocore.httpsession import get_cert_path

from fooocus_engine.public_hosts import Guard, GuardedConnection

MAX_ANSWER_BYTES = 65_536  # an error's XML has some hundred
WHOLE_S = 300  # one request from its first byte to the last of its answer, however slowly the store trickles


class GuardedSender:
    """A listener: prepared request in, response out. One connection per request."""

    def __init__(self, guard: Guard, *, connect_s: float, answer_s: float, whole_s: float = WHOLE_S) -> None:
        """``answer_s`` bounds every single wait, ``whole_s`` all of them together."""
        self._guard, self._connect_s, self._answer_s, self._whole_s = guard, connect_s, answer_s, whole_s
        self._tls = ssl.create_default_context(cafile=get_cert_path(True))

    def __call__(self, request: AWSPreparedRequest, **event: Any) -> AWSResponse:
        """What the store answers.

        Raises:
            HostRefused: its address is not public.
            HTTPClientError: no complete answer came.
        """
        connection = self._connection(request.url)
        try:
            with connection.within(self._whole_s):
                connection.connect()
                return _exchanged(request, connection, self._answer_s)
        except (OSError, http.client.HTTPException) as error:
            raise HTTPClientError(error=error) from error
        finally:
            connection.close()

    def _connection(self, url: str) -> GuardedConnection:
        parts = urlsplit(url)
        tls = self._tls if parts.scheme == "https" else None
        port = parts.port or (http.client.HTTPS_PORT if tls else http.client.HTTP_PORT)
        return GuardedConnection(parts.hostname or "", port, self._guard, timeout_s=self._connect_s, tls=tls)


class _Raw(io.BytesIO):
    """An answer's body as botocore reads it."""

    def stream(self, *sizes: Any, **options: Any) -> Iterator[bytes]:
        yield self.read()


def _exchanged(request: AWSPreparedRequest, connection: GuardedConnection, answer_s: float) -> AWSResponse:
    connection.sock.settimeout(answer_s)
    parts = urlsplit(request.url)
    headers = {str(name): _text(value) for name, value in request.headers.items() if name.lower() != "expect"}
    connection.request(
        request.method,
        f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}",
        body=request.body,
        headers=headers,
        encode_chunked=headers.get("Transfer-Encoding") == "chunked",
    )
    with connection.getresponse() as answer:
        return AWSResponse(request.url, answer.status, dict(answer.headers), _Raw(answer.read(MAX_ANSWER_BYTES)))


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
