"""The fields of listing questions."""

import pytest

from fooocus_engine.endpoints.listing.contract import ModelsRequest, NoFields
from fooocus_engine.endpoints.problems import validated
from fooocus_engine.errors import InvalidRequest


def test_details_are_off_unless_asked_for():
    assert not validated(ModelsRequest, {}).details
    assert validated(ModelsRequest, {"details": "true"}).details


def test_a_bad_flag_is_refused_at_its_field():
    with pytest.raises(InvalidRequest) as caught:
        validated(ModelsRequest, {"details": "maybe"})
    assert [problem.loc for problem in caught.value.problems] == [("body", "details")]


def test_other_questions_take_anything_and_read_nothing():
    assert validated(NoFields, {"anything": 1}) == NoFields()
