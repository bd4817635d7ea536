"""The companion folder: optional files, honoured where tensors are silent."""

import json

import pytest
from safetensors.torch import load_file

from fooocus_engine.errors import BadModelFile
from fooocus_engine.imaging.resize import FULL_SIDE
from fooocus_engine.models.companion import NATIVE_SIDE, Companion, native_side, read_companion
from fooocus_engine.models.families.checkpoint import take_apart
from fooocus_engine.models.families.unet_layout import unet_config
from fooocus_engine.models.families.vae import load_codec
from tests.models.tiny import CHECKPOINT, CPU, TOKENIZER


def test_a_whole_companion_is_read():
    companion = read_companion(CHECKPOINT)
    assert companion.unet["attention_head_dim"] == [1, 2, 4]
    assert companion.text_encoder["num_attention_heads"] == 4
    assert companion.tokenizer == TOKENIZER


def test_a_checkpoint_may_stand_alone(tmp_path):
    assert read_companion(tmp_path / "alone.safetensors") == Companion()


@pytest.mark.parametrize("content", ["{", "[]", "\x00"])
def test_a_damaged_file_is_told_without_its_folder(tmp_path, content):
    (tmp_path / "m").mkdir()
    (tmp_path / "m/unet.json").write_text(content)
    with pytest.raises(BadModelFile, match=r"m/unet\.json") as caught:
        read_companion(tmp_path / "m.safetensors")
    assert str(tmp_path) not in str(caught.value)


def layout():
    return take_apart(load_file(CHECKPOINT), file="x", companion=Companion()).layout


def test_the_number_of_norm_groups_is_taken_from_the_companion():
    assert unet_config(layout(), {"norm_num_groups": 8}, heads=None, file="x")["norm_num_groups"] == 8
    vae = {k.removeprefix("first_stage_model."): t for k, t in load_file(CHECKPOINT).items() if "first_stage" in k}
    codec = load_codec(vae, {"norm_num_groups": 8}, file="x", device=CPU.device)
    assert {m.num_groups for m in codec.vae.modules() if hasattr(m, "num_groups")} == {8}


def test_sizes_of_a_companion_are_not_believed():
    told = json.loads(json.dumps({"block_out_channels": [1, 2, 3], "cross_attention_dim": 5}))
    config = unet_config(layout(), told, heads=None, file="x")
    assert config["block_out_channels"] == (32, 64, 128)
    assert config["cross_attention_dim"] == 128


def test_head_numbers_must_fit_the_levels():
    with pytest.raises(BadModelFile, match="2 head numbers for 3 levels"):
        unet_config(layout(), {"attention_head_dim": [1, 2]}, heads=None, file="x")


def test_heads_have_64_channels_unless_told():
    assert unet_config(layout(), {}, heads=None, file="x")["attention_head_dim"] == (0, 1, 2)


def test_a_checkpoint_is_at_home_with_sdxls_size_unless_its_companion_tells_another(tmp_path):
    assert native_side(CHECKPOINT) == native_side(tmp_path / "alone.safetensors") == 1024
    (tmp_path / "m").mkdir()
    (tmp_path / "m/model.json").write_text('{"native_side": 192}')
    assert native_side(tmp_path / "m.safetensors") == 192


@pytest.mark.parametrize("told", ['"192"', "0", "-64", "100", "8192", "192.0", "null", "true"])
def test_a_size_that_is_none_is_refused_by_name(tmp_path, told):
    (tmp_path / "m").mkdir()
    (tmp_path / "m/model.json").write_text(f'{{"native_side": {told}}}')
    with pytest.raises(BadModelFile, match=r"m/model\.json: native_side must be a multiple of 64 from 64 to 4096; got"):
        native_side(tmp_path / "m.safetensors")


def test_sizes_of_pictures_and_of_models_mean_the_same_native_side():
    assert NATIVE_SIDE == FULL_SIDE
