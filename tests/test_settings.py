"""Settings from a given environment."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from fooocus_engine.settings import EVERY_NETWORK, BadSetting, Settings, settings_from_environment


def test_an_empty_environment_gives_the_defaults():
    assert settings_from_environment({}) == Settings()
    assert settings_from_environment({"FOOOCUS_DEVICE": "", "PREVIEW": ""}) == Settings()


def test_every_variable_is_read():
    found = settings_from_environment(
        {
            "FOOOCUS_MODELS_DIR": "/m", "FOOOCUS_OUTPUTS_DIR": "/o", "FOOOCUS_DEVICE": "CPU",
            "FOOOCUS_DTYPE": "float16", "FOOOCUS_PRESET": "anime", "FOOOCUS_STORAGE": "folder", "FOOOCUS_SLOTS": "3",
            "FOOOCUS_MAX_LORAS": "7", "PREVIEW": "off", "FOOOCUS_PREVIEW_INTERVAL": "0.5",
            "FOOOCUS_IMAGE_PROMPT_ATTENTION": "separate", "FOOOCUS_ALLOW_PRIVATE_URLS": "10.0.0.0/8, fd00::/8",
        }
    )  # fmt: skip
    networks = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert found == Settings(
        Path("/m"), Path("/o"), "cpu", "float16", "anime", "folder", 3, 7, False, 0.5, "separate", networks
    )


@pytest.mark.parametrize(("value", "networks"), [("on", EVERY_NETWORK), ("off", ()), ("", ())])
def test_private_addresses_are_allowed_as_a_whole_or_not_at_all(value, networks):
    assert settings_from_environment({"FOOOCUS_ALLOW_PRIVATE_URLS": value}).private_urls == networks


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
        ("PREVIEW", "maybe", "on, off"),
        ("FOOOCUS_ALLOW_PRIVATE_URLS", "10.0.0.7/8", "on, off, or networks"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(name, value, allowed):
    with pytest.raises(BadSetting) as refused:
        settings_from_environment({name: value})
    message = str(refused.value)
    assert name in message
    assert value in message
    assert allowed in message
