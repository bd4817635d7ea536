"""The server that the tests of uploads share."""

import pytest

from tests.s3_server import s3_server


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """A real S3-compatible server with one bucket."""
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server
