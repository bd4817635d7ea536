"""Whatever JSON a client sends as a generation request, it is understood or refused in words."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from fooocus_engine.endpoints.generate.contract import GenerateRequest
from fooocus_engine.errors import EngineError, InvalidRequest
from tests.endpoints.asking import asked

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(["", "None", "[", '{"a":', "[[", "1", "nan", "1e999", "\ud800", "SAI Anime,x", "../x", "4*4"])
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner))
NAMES = st.sampled_from([*GenerateRequest.model_fields, "style", "endpoint", "api_name", "params"]) | st.text(
    max_size=8
)


@settings(max_examples=200, deadline=None, database=None)
@given(st.dictionaries(NAMES, JSON, max_size=6))
def test_any_json_object_is_understood_or_refused_with_reasons(fields):
    try:
        asked({"prompt": "a"} | fields)
    except InvalidRequest as error:
        assert error.problems
        json.dumps([problem.as_json() for problem in error.problems], allow_nan=False).encode("utf-8")
    except EngineError as error:
        assert str(error)
