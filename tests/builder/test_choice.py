"""What presets and features come down to."""

import pytest

from builder.baking.choice import SETS, STARTER, chosen, path_of, presets_of
from builder.baking.errors import BadChoice
from fooocus_engine.endpoints.generate.performance import MODES
from fooocus_engine.endpoints.generate.presets import NO_MODEL, presets
from fooocus_engine.models.catalogue import CHECKPOINTS, EXPANSION, LORAS, VAES, known_files
from fooocus_engine.models.features import ALWAYS, FEATURES
from fooocus_engine.types import MODEL_VAE

KNOWN = known_files()


def paths(presets=(), features=(), files=(), accept=True):
    choice = chosen(KNOWN, presets, features, files, accept_non_commercial=accept)
    return [path_of(file) for file in choice.files]


def test_every_preset_can_be_baked():
    assert set(presets_of(KNOWN)) == set(presets())


@pytest.mark.parametrize("name", [name for name in presets() if name != STARTER])
def test_a_preset_brings_every_file_that_it_names(name):
    preset = presets()[name]
    loras = [f"{LORAS}/{lora}" for lora, _ in preset.loras]
    loras += [f"{LORAS}/{lora[0]}" for lora in [MODES[preset.performance_selection].lora] if lora]
    models = {f"{CHECKPOINTS}/{preset.base_model_name}", f"{CHECKPOINTS}/{preset.refiner_model_name}"}
    vae = f"{VAES}/{preset.vae_name}"
    needed = {*loras, *models, vae} - {f"{CHECKPOINTS}/{NO_MODEL}", f"{VAES}/{MODEL_VAE}"}
    found = set(paths([name]))
    assert needed <= found
    assert found - needed == {"clip_tokenizer/vocab.json", "clip_tokenizer/merges.txt"}


def test_every_file_of_the_catalogue_can_be_had_by_a_preset_or_a_feature():
    reachable = set(paths(presets_of(KNOWN), ["all"]))
    assert {path_of(file) for file in KNOWN} - reachable == {
        "checkpoints/juggernautXL_version6Rundiffusion.safetensors"  # an old default, which requests may name
    }


def test_every_word_of_a_feature_is_one_of_the_catalogue():
    words = {word for file in KNOWN for word in file.needed_by}
    assert {word for feature in FEATURES.values() for word in feature} <= words
    assert {ALWAYS} <= words
    assert {feature for names in SETS.values() for feature in names} <= set(FEATURES)


def test_the_starter_needs_nothing():
    assert paths([STARTER], ["none"]) == []


def test_a_file_is_fetched_once_in_the_order_of_the_catalogue():
    found = paths(["default", "lcm", "default"], ["speed", "upscale", "inpaint"])
    order = [path_of(file) for file in KNOWN]
    assert found == sorted(set(found), key=order.index)


def test_what_is_not_for_commerce_is_left_out_unless_accepted():
    refused = chosen(KNOWN, ["default"], ["expansion"], [], accept_non_commercial=False)
    assert not [file for file in refused.files if file.kind == EXPANSION]
    ((count, effect),) = refused.left_out
    accepted = chosen(KNOWN, ["default"], ["expansion"], [], accept_non_commercial=True)
    assert accepted.left_out == ()
    assert len(accepted.files) - len(refused.files) == count > 0
    assert "Fooocus V2" in effect


def test_a_named_file_that_is_not_for_commerce_is_left_out_too():
    named = chosen(KNOWN, [STARTER], [], [f"{EXPANSION}/vocab.json"], accept_non_commercial=False)
    assert named.files == ()
    assert len(named.left_out) == 1


def test_an_own_file_takes_the_place_of_a_known_one():
    known = "checkpoints/juggernautXL_v8Rundiffusion.safetensors"
    choice = chosen(KNOWN, ["default"], [], [f"{known}=https://h/x#sha256={'a' * 64}"], accept_non_commercial=False)
    (own,) = [file for file in choice.files if path_of(file) == known]
    assert (own.source, own.sha256) == ("https://h/x", "a" * 64)


@pytest.mark.parametrize(
    "text",
    [
        "x=https://h/x",
        "loras/=https://h/x",
        "loras/x=ftp://h/x",
        "loras/x=https://h/x#sha256=1",
        "loras/../x=https://h/x",
    ],
)
def test_an_own_file_that_cannot_be_used_is_refused(text):
    with pytest.raises(BadChoice, match="KIND/NAME=URL"):
        paths(files=[text])
