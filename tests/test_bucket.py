"""Where an endpoint's address leads, and where pictures lie in a bucket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fooocus_engine.bucket import Bucket, Place, UploadSettings, place_at

AWS = "https://s3.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://pics.s3.eu-west-1.amazonaws.com", (AWS, "pics", "eu-west-1")),
        ("https://my.pics.s3-us-west-2.amazonaws.com", ("https://s3-us-west-2.amazonaws.com", "my.pics", "us-west-2")),
        ("https://s3.amazonaws.com/pics", ("https://s3.amazonaws.com", "pics", "us-east-1")),
        ("https://pics.s3.us-west-004.example.com", ("https://s3.us-west-004.example.com", "pics", "us-west-004")),
        ("https://pics.nyc3.digitaloceanspaces.com", ("https://nyc3.digitaloceanspaces.com", "pics", "nyc3")),
        ("HTTP://MinIO.local:9000/Pics/", ("http://minio.local:9000", "Pics", "us-east-1")),
        ("http://[::1]:9000/pics", ("http://[::1]:9000", "pics", "us-east-1")),
        ("https://host/with/path/pics", ("https://host/with/path", "pics", "us-east-1")),
    ],
)
def test_bucket_and_region_are_read_from_the_address(address, expected):
    assert place_at(address) == Place(*expected)


@pytest.mark.parametrize(
    ("address", "bucket", "expected"),
    [
        (AWS, "pics", (AWS, "pics", "eu-west-1")),
        ("https://pics.s3.eu-west-1.amazonaws.com/", "pics", (AWS, "pics", "eu-west-1")),
        ("https://host/pics", "pics", ("https://host", "pics", "us-east-1")),
        ("http://minio.local:9000", "minio", ("http://minio.local:9000", "minio", "us-east-1")),
        ("https://host/storage/v1/s3", "pics", ("https://host/storage/v1/s3", "pics", "us-east-1")),
    ],
)
def test_a_bucket_that_is_named_stays_and_is_not_left_in_the_address(address, bucket, expected):
    assert place_at(address, bucket) == Place(*expected)


def test_a_region_that_is_named_stays():
    assert place_at(AWS, "pics", "auto").region == "auto"


@pytest.mark.parametrize(
    ("address", "bucket", "reason"),
    [
        ("", "pics", "http or https"),
        ("ftp://host", "pics", "http or https"),
        ("file:///etc/passwd", "pics", "http or https"),
        ("https://", "pics", "http or https"),
        ("https://host:0", "pics", "http or https"),
        ("https://host:99999", "pics", "http or https"),
        ("https://ho st", "pics", "http or https"),
        ("https://host\n", "pics", "http or https"),
        ("https://user:hunter2@host", "pics", "without user"),
        ("https://host?X-Amz-Signature=hunter2", "pics", "without user, query"),
        ("https://host#x", "pics", "fragment"),
        ("https://minio.local:9000", "", "must name the bucket"),
        ("https://host", "..", "1 to 255"),
        ("https://host", "a/b", "1 to 255"),
        ("https://host/..", "", "1 to 255"),
        ("https://host", "arn:aws:s3:::x", "1 to 255"),
    ],
)
def test_other_addresses_are_refused_without_repeating_them(address, bucket, reason):
    with pytest.raises(ValueError, match=reason) as refused:
        place_at(address, bucket)
    assert "hunter2" not in str(refused.value)


def test_keys_do_not_show_when_a_bucket_is_printed():
    shown = repr(Bucket("https://host", "pics", "auto", "the-id", "the-secret"))
    assert "pics" in shown
    assert "the-id" not in shown
    assert "the-secret" not in shown


def test_a_picture_lies_in_the_folder_of_its_job():
    assert UploadSettings().key(job_id="j-1", file_name="cat-0.png") == "j-1/cat-0.png"


def test_prefix_and_template_are_put_together():
    uploads = UploadSettings(prefix="a/b", key_template="jobs/{job_id}_{file_name}")
    assert uploads.key(job_id="j-1", file_name="cat-0.png") == "a/b/jobs/j-1_cat-0.png"


@pytest.mark.parametrize(
    "template",
    [
        "",
        "{file_name}",
        "{job_id}",
        "{job_id}/{job_id}/{file_name}",
        "{date}/{job_id}/{file_name}",
        "{job_id}/{file_name}/{secret_access_key}",
        "{job_id.__class__}/{file_name}",
        "{job_id[0]}/{file_name}",
        "{job_id!r}/{file_name}",
        "{job_id:>99999999}/{file_name}",
        "{}/{file_name}",
        "{job_id}/{file_name",
        "/{job_id}/{file_name}",
        "../{job_id}/{file_name}",
        "x/../{job_id}/{file_name}",
        "./{job_id}/{file_name}",
        "{job_id}//{file_name}",
        "{job_id}/{file_name}/",
        "{job_id}\\{file_name}",
        "{job_id}\n{file_name}",
    ],
)
def test_templates_that_leave_their_place_or_mix_up_jobs_are_refused(template):
    with pytest.raises(ValueError, match="key template must"):
        UploadSettings(key_template=template)


@pytest.mark.parametrize("prefix", ["..", "a/../b", "/a", "a/", "a//b", "a\\b", "a\0"])
def test_prefixes_that_leave_the_bucket_are_refused(prefix):
    with pytest.raises(ValueError, match="prefix must"):
        UploadSettings(prefix=prefix)


@given(st.text("ab-._", min_size=1), st.text("ab-._", min_size=1), st.text("ab-._", min_size=1))
def test_two_jobs_never_share_a_key(first, second, name):
    uploads = UploadSettings()
    keys = {uploads.key(job_id=job, file_name=name) for job in (first, second)}
    assert len(keys) == len({first, second})
