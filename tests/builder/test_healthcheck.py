"""The container's health check."""

import pytest

from builder.healthcheck import answers, runs
from tests.web import served, unused_port


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (403, True), (404, True), (500, False), (503, False)])
def test_a_door_that_answers_is_healthy_even_when_it_refuses(status, healthy):
    with served() as web:
        assert answers(web.gives("/x", b"", status)) is healthy


def test_a_door_that_nobody_opens_is_not_healthy():
    assert not answers(f"http://127.0.0.1:{unused_port()}/")


@pytest.mark.parametrize(
    ("stat", "healthy"),
    [
        ("1 (python) S 0 1", True),
        ("1 (a) Z b) R 0", True),
        ("1 (python) T 0", False),
        ("1 (python) Z 0", False),
        ("", False),
    ],
)
def test_a_process_is_told_by_its_state(tmp_path, stat, healthy):
    (tmp_path / "stat").write_text(stat)
    assert runs(tmp_path / "stat") is healthy
    assert not runs(tmp_path / "missing")
