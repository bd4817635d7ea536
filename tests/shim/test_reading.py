"""What status replies mean (api.md §6.3, §6.6, §6.7)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fooocus_engine.errors import BackendFailed
from fooocus_engine.shim.platform import PlatformJob
from fooocus_engine.shim.reading import MAX_CAUSE, Canceled, Done, Failed, Waiting, Working, failure_of, read
from fooocus_engine.shim.results import worker_pictures

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
UPDATE = {"job_progress": 40, "job_status": "Step", "job_step_preview": "cA==", "n": 3}


@pytest.mark.parametrize(
    ("state", "output", "meaning"),
    [
        ("IN_QUEUE", None, Waiting()),
        ("IN_PROGRESS", None, Working(1, "Loading models ...")),
        ("RUNNING", UPDATE, Working(40, "Step", "cA==", 3)),
        ("IN_PROGRESS", {"job_progress": "40", "job_status": "", "job_step_preview": 5, "n": "3"}, Working()),
        ("IN_PROGRESS", {"job_progress": float("nan")}, Working()),
        ("COMPLETED", UPDATE, Done(UPDATE)),
        ("CANCELLED", None, Canceled()),
    ],
)
def test_the_state_decides_what_an_output_is(state, output, meaning):
    assert read(PlatformJob("j", state, output)) == meaning


def test_a_refusal_names_every_field_in_one_line():
    detail = [{"loc": ["body", "loras", 0, "weight"], "msg": "too\nheavy"}, {"loc": ["body"], "msg": "odd"}, "x"]
    failure = failure_of(json.dumps({"status": 422, "type": "validation_error", "detail": detail}))
    assert (failure.status, failure.detail) == (422, detail)
    assert failure.cause == "loras.0.weight: too heavy; body: odd"


@pytest.mark.parametrize("error", [None, "", 0, [], {}, "{}", '{"status": 999, "detail": "x"}', '{"status": 422}'])
def test_an_error_without_a_reason_is_a_failure_of_the_worker(error):
    assert failure_of(error).status == 500


def test_a_cause_is_short():
    assert len(failure_of("word " * 1000).cause) == MAX_CAUSE


@given(ANYTHING, ANYTHING, st.sampled_from(["IN_QUEUE", "IN_PROGRESS", "COMPLETED", "FAILED", "x"]))
def test_whatever_the_platform_says_is_understood_somehow(output, error, state):
    meaning = read(PlatformJob("j", state, output, error))
    if isinstance(meaning, Working):
        assert 0 <= meaning.percent <= 100
    if isinstance(meaning, Failed):
        assert 400 <= meaning.failure.status <= 599
        assert "\n" not in meaning.failure.cause


@given(ANYTHING)
def test_only_pictures_are_taken_for_pictures(output):
    with pytest.raises(BackendFailed):
        worker_pictures(output, "j")


def test_pictures_keep_their_order_and_get_a_name_where_they_have_none():
    results = [
        {"base64": "data:image/webp;base64,YQ==", "url": None, "seed": 5},
        {"base64": None, "url": "https://bucket/x", "seed": None, "file_name": "x.png"},
        {"base64": "Yg==", "seed": "7"},
    ]
    found = worker_pictures({"job_result": results}, "j")
    assert [(p.seed, p.file_name, p.data, p.url) for p in found] == [
        ("5", "j-0.webp", b"a", None), ("", "x.png", None, "https://bucket/x"), ("7", "j-2.png", b"b", None),
    ]  # fmt: skip
