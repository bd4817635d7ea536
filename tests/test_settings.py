"""Settings from a given environment."""

from pathlib import Path

import pytest

from fooocus_engine.settings import BadSetting, Settings, settings_from_environment


def test_an_empty_environment_gives_the_defaults():
    assert settings_from_environment({}) == Settings()
    assert settings_from_environment({"FOOOCUS_DEVICE": "", "PREVIEW": ""}) == Settings()


def test_every_variable_is_read():
    found = settings_from_environment(
        {
            "FOOOCUS_MODELS_DIR": "/m", "FOOOCUS_OUTPUTS_DIR": "/o", "FOOOCUS_DEVICE": "CPU",
            "FOOOCUS_DTYPE": "float16", "FOOOCUS_PRESET": "anime", "FOOOCUS_STORAGE": "folder", "FOOOCUS_SLOTS": "3",
            "FOOOCUS_MAX_LORAS": "7", "PREVIEW": "off", "FOOOCUS_PREVIEW_INTERVAL": "0.5",
            "FOOOCUS_IMAGE_PROMPT_ATTENTION": "separate", "FOOOCUS_PROGRESS_INTERVAL": "2",
            "FOOOCUS_MIN_FREE_GB": "3",
        }
    )  # fmt: skip
    assert found == Settings(
        Path("/m"), Path("/o"), "cpu", "float16", "anime", "folder", 3, 7, False, 0.5, 2.0, 3.0, "separate"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("FOOOCUS_DEVICE", "tpu", "auto, cpu, cuda, mps"),
        ("FOOOCUS_DTYPE", "int8", "float16"),
        ("FOOOCUS_STORAGE", "cloud", "inline, folder"),
        ("FOOOCUS_SLOTS", "0", "from 1 to 16"),
        ("FOOOCUS_SLOTS", "1.5", "whole numbers"),
        ("FOOOCUS_IMAGE_PROMPT_ATTENTION", "none", "joint, separate"),
        ("FOOOCUS_MAX_LORAS", "many", "from 0 to 100"),
        ("FOOOCUS_PREVIEW_INTERVAL", "nan", "from 0 to 3600"),
        ("FOOOCUS_PROGRESS_INTERVAL", "-1", "from 0 to 3600"),
        ("FOOOCUS_MIN_FREE_GB", "1001", "from 0 to 1000"),
        ("PREVIEW", "maybe", "on, off"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(name, value, allowed):
    with pytest.raises(BadSetting) as refused:
        settings_from_environment({name: value})
    message = str(refused.value)
    assert name in message
    assert value in message
    assert allowed in message
