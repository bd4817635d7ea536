"""The client of an S3-compatible store, on boto3. The only file that imports it; that takes long, so workers without a
bucket never import this one. Tries once: when to try again is ``s3.py``'s business.

Nothing that a store or botocore says is passed on but a short code: both may repeat what was sent, keys included.
"""

from __future__ import annotations

import base64
import re
from typing import Any

import boto3.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.parsers import ResponseParserError

from fooocus_engine.bucket import Bucket, UploadSettings
from fooocus_engine.output.storage.guarded_sender import GuardedSender
from fooocus_engine.output.storage.s3 import Parcel, UploadFailed
from fooocus_engine.public_hosts import Guard, HostRefused

CONNECT_S = 10
ANSWER_S = 60
CONNECTIONS = 16  # kept open; as many as a worker can have slots
CODE = re.compile(r"[A-Za-z0-9.]{1,64}")
PASSING_STATUS = (408, 425, 429)  # and all from 500
PASSING_CODES = ("BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "RequestTimeout", "OperationAborted")


class BotoClient:
    """One bucket of one store. Safe to use from several threads."""

    def __init__(
        self, bucket: Bucket, uploads: UploadSettings, *, guard: Guard | None = None, answer_s: float = ANSWER_S
    ) -> None:
        """``guard`` decides about every connection, for an endpoint that a client chose; ``None`` trusts the endpoint.

        ``answer_s`` bounds the wait for an answer, in seconds.

        Raises:
            UploadFailed: boto3 makes no client of these values.
        """
        self._bucket, self._uploads = bucket.name, uploads
        try:
            self._client = _client(bucket, uploads, answer_s)
        except (ValueError, BotoCoreError) as error:
            raise UploadFailed(f"no client for this endpoint ({type(error).__name__})", passing=False) from None
        if guard is not None:
            sender = GuardedSender(guard, connect_s=CONNECT_S, answer_s=answer_s)
            self._client.meta.events.register("before-send.s3", sender)

    def put(self, parcel: Parcel) -> None:
        """Keep an object under its key.

        Raises:
            UploadFailed: it was not kept.
        """
        try:
            answer = self._client.put_object(
                Bucket=self._bucket,
                Key=parcel.key,
                Body=parcel.body,
                ContentType=parcel.media_type,
                **self._digest(parcel),
            )
        except ClientError as error:
            raise _refused(error) from None
        except HostRefused:
            raise UploadFailed("the endpoint's address is not public", passing=False) from None
        except (HTTPClientError, ResponseParserError) as error:
            raise _unanswered(error) from None
        except BotoCoreError as error:
            raise UploadFailed(f"no request could be made ({type(error).__name__})", passing=False) from None
        except (TypeError, ValueError, LookupError, AttributeError) as error:  # botocore on an answer that is not S3's
            raise _unanswered(error) from error
        if "ETag" not in answer:  # it ended early, or comes from something else than a store
            raise UploadFailed("no proper answer from the store (no ETag)", passing=True)

    def _digest(self, parcel: Parcel) -> dict[str, str]:
        """What every store understands; botocore itself adds a CRC-32 in its place when it is told to."""
        if self._uploads.checksums == "when_supported":
            return {}
        return {"ContentMD5": base64.b64encode(parcel.md5).decode("ascii")}

    def url(self, key: str) -> str:
        """The address of an object: signed, for as long as the settings say, or bare for a public bucket."""
        signed: str = self._client.generate_presigned_url(
            "get_object", Params={"Bucket": self._bucket, "Key": key}, ExpiresIn=self._uploads.url_expiry_s
        )
        return signed if self._uploads.urls == "presigned" else signed.partition("?")[0]


def _client(bucket: Bucket, uploads: UploadSettings, answer_s: float) -> Any:
    session = boto3.session.Session(
        aws_access_key_id=bucket.access_key_id,
        aws_secret_access_key=bucket.secret_access_key,
        region_name=bucket.region,
    )
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": uploads.addressing},
        request_checksum_calculation=uploads.checksums,
        response_checksum_validation=uploads.checksums,
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=CONNECT_S,
        read_timeout=answer_s,
        max_pool_connections=CONNECTIONS,
    )
    return session.client("s3", endpoint_url=bucket.endpoint_url, config=config)


def _unanswered(error: Exception) -> UploadFailed:
    return UploadFailed(f"no proper answer from the store ({type(error).__name__})", passing=True)


def _refused(error: ClientError) -> UploadFailed:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = str(error.response.get("Error", {}).get("Code", ""))
    shown = f" {code}" if CODE.fullmatch(code) and code != str(status) else ""
    passing = status >= 500 or status in PASSING_STATUS or code in PASSING_CODES
    return UploadFailed(f"the store answered {status}{shown}", passing=passing)
