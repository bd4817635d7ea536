"""Mirrors and tokens of downloads."""

import pytest

from builder.baking.errors import BadChoice
from builder.baking.origin import MIRRORS, TOKENS, request_for

HUB = "https://huggingface.co/o/r/resolve/main/x"


def test_without_variables_the_address_stays():
    assert request_for(HUB, {}).url == HUB
    assert request_for(HUB, {}).headers == {}


def test_a_mirror_replaces_its_host_alone():
    environment = {"HF_MIRROR": "https://mirror.example/hf/"}
    assert request_for(HUB, environment).url == "https://mirror.example/hf/o/r/resolve/main/x"
    assert (
        request_for("https://huggingface.co.evil.example/x", environment).url == "https://huggingface.co.evil.example/x"
    )


@pytest.mark.parametrize(("prefix", "variable"), TOKENS.items())
def test_a_token_goes_to_its_own_host_alone(prefix, variable):
    environment = {variable: "secret\n"}
    assert request_for(f"{prefix}/x", environment).headers == {"Authorization": "Bearer secret"}
    for other in {*MIRRORS, "http://huggingface.co", "https://example.com"} - {prefix}:
        assert request_for(f"{other}/x", environment).headers == {}


def test_a_token_lies_in_a_file_or_among_the_secrets(tmp_path):
    (tmp_path / "hf_token").write_text("from a secret\n")
    (tmp_path / "named").write_text("from a file\n")
    assert request_for(HUB, {}, tmp_path).token == "from a secret"
    assert request_for(HUB, {"HF_TOKEN_FILE": str(tmp_path / "named")}, tmp_path).token == "from a file"
    assert request_for(HUB, {"HF_TOKEN": "given"}, tmp_path).token == "given"


def test_a_token_is_not_shown():
    assert "secret" not in repr(request_for(HUB, {"HF_TOKEN": "secret"}))


@pytest.mark.parametrize("mirror", ["mirror", "ftp://h", "https://"])
def test_a_mirror_that_is_no_address_is_refused(mirror):
    with pytest.raises(BadChoice, match="HF_MIRROR"):
        request_for(HUB, {"HF_MIRROR": mirror})
