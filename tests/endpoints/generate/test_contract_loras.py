"""LoRA entries (api.md §2.3): their forms, and the limits of the settings."""

import pytest

from fooocus_engine.settings import Settings
from tests.endpoints.asking import asked, problems


@pytest.mark.parametrize(
    ("entry", "meaning"),
    [
        ({"model_name": "a"}, (True, "a", 0.5)),
        ({"enabled": False, "model_name": "a", "weight": "1.2"}, (False, "a", 1.2)),
        ({"model_name": "a", "weight": None, "enabled": None}, (True, "a", 0.5)),
        ({"model_name": "a", "weight": ""}, (True, "a", 0.5)),
        ({"model_name": None}, (True, "None", 0.5)),
        ({"model_name": ""}, (True, "None", 0.5)),
        (["a", 0.25], (True, "a", 0.25)),
        ([False, "a", -2], (False, "a", -2.0)),
        ('{"model_name": "a", "weight": 2}', (True, "a", 2.0)),
    ],
)
def test_a_lora_may_be_an_object_a_pair_or_a_triple(entry, meaning):
    (lora,) = asked({"loras": [entry]}).loras
    assert (lora.enabled, lora.model_name, lora.weight) == meaning


def test_empty_and_disabled_loras_do_not_count_against_the_limit():
    in_use, empty, off = ["a", 1], ["None", 1], [False, "a", 1]
    assert len(asked({"loras": [in_use] * 5 + [empty] * 4 + [off] * 4}).loras) == 13


def test_the_limits_of_the_settings_hold():
    narrow = Settings(max_loras=1, lora_weight_range=(0.0, 1.0))
    found = problems({"loras": [["a", 1.5]]}, narrow) + problems({"loras": [["a", 1], ["b", 1]]}, narrow)
    assert [problem.loc for problem in found] == [("body", "loras", 0, "weight"), ("body", "loras")]


def test_an_empty_list_of_loras_is_none_and_an_empty_string_is_the_default():
    assert asked({"loras": []}).loras == ()
    assert asked({"loras": "[]"}).loras == ()
    assert asked({"loras": ""}).loras == asked({}).loras
