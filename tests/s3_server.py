"""A real S3-compatible server on loopback for tests: rclone, which checks signatures, expiry and digests.

It keeps objects as files in a folder, a bucket being a folder of the first level.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fooocus_engine.bucket import Bucket

RCLONE = Path(sys.executable).parent / "rclone"
ACCESS, SECRET = "ACCESS-KEY-ID", "secret-access-key-of-tests"
NAME = "pictures"


@dataclass(frozen=True)
class S3Server:
    """A running server with one empty bucket."""

    port: int
    folder: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def bucket(self, **changes: str) -> Bucket:
        """Its bucket, as someone who may write there knows it."""
        told = {
            "endpoint_url": self.address,
            "name": NAME,
            "region": "us-east-1",
            "access_key_id": ACCESS,
            "secret_access_key": SECRET,
        }
        return Bucket(**(told | changes))

    def environment(self) -> dict[str, str]:
        """The same as the worker's variables."""
        return {
            "BUCKET_ENDPOINT_URL": f"{self.address}/{NAME}",
            "BUCKET_ACCESS_KEY_ID": ACCESS,
            "BUCKET_SECRET_ACCESS_KEY": SECRET,
        }

    def objects(self) -> dict[str, bytes]:
        """Every object of the bucket by its key."""
        root = self.folder / NAME
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """A server that keeps its objects below ``folder`` until the context is left."""
    (folder / NAME).mkdir(parents=True, exist_ok=True)
    command = [RCLONE, "serve", "s3", "--config", "/dev/null", "--addr", "127.0.0.1:0"]
    command += ["--auth-key", f"{ACCESS},{SECRET}", str(folder)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            told = next(line for line in server.stderr if "Starting s3 server" in line)
            (port,) = re.findall(r"http://127\.0\.0\.1:(\d+)", told)
            yield S3Server(int(port), folder)
        finally:
            server.terminate()
