"""The name maps equal those of diffusers' own single-file converters."""

import pytest
import torch
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from safetensors.torch import load_file

from fooocus_engine.models.families.clip import clip_g_tensors, clip_l_tensors
from fooocus_engine.models.families.unet_layout import read_layout
from fooocus_engine.models.families.unet_names import unet_names
from fooocus_engine.models.families.vae import diffusers_tensors
from tests.models import layouts
from tests.models.tiny import CHECKPOINT, tiny_model

UNET = "model.diffusion_model."
VAE = "first_stage_model."
CLIP_G = "conditioner.embedders.1.model."


@pytest.fixture(scope="module")
def tiny():
    return load_file(CHECKPOINT)


def part(weights, prefix):
    return {key.removeprefix(prefix): tensor for key, tensor in weights.items() if key.startswith(prefix)}


def converter_config(unet: dict) -> dict:
    return {"layers_per_block": 2, "class_embed_type": None, "addition_embed_type": None, **unet}


def test_tiny_unet_names_are_those_of_the_converter(tiny):
    ours = tiny_model().unet_names
    theirs = convert_ldm_unet_checkpoint(dict(tiny), tiny_model().unet.config)
    mine = part(tiny, UNET)
    assert {name: mine[key].data_ptr() for key, name in ours.items()} == {k: t.data_ptr() for k, t in theirs.items()}


@pytest.mark.parametrize("config", [layouts.SDXL_UNET, layouts.REFINER_UNET, layouts.SD15_UNET, layouts.SMALL_UNET])
def test_published_unet_names_are_those_of_the_converter(config):
    tensors = {key: torch.empty(0) if tensor.ndim < 1 else tensor for key, tensor in layouts.ldm_unet(config).items()}
    ours = unet_names(read_layout(tensors, file="x"), tensors)
    theirs = convert_ldm_unet_checkpoint({UNET + key: t for key, t in tensors.items()}, converter_config(config))
    keys = {id(tensor): key for key, tensor in tensors.items()}
    assert ours == {keys[id(tensor)]: name for name, tensor in theirs.items()}


def test_tiny_vae_tensors_are_those_of_the_converter(tiny):
    ours = diffusers_tensors(part(tiny, VAE))
    theirs = convert_ldm_vae_checkpoint(dict(tiny), tiny_model().codec.vae.config)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key].reshape(ours[key].shape)) for key in ours)


def test_tiny_text_tensors_are_those_of_the_converter(tiny):
    ours = clip_g_tensors(part(tiny, CLIP_G))
    theirs = convert_open_clip_checkpoint(tiny_model().text.clip_g, dict(tiny), prefix=CLIP_G)
    projection = theirs.pop("text_projection.weight")
    assert torch.equal(ours.pop("text_projection").T, projection)
    theirs.pop("text_model.embeddings.position_ids", None)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_projection_under_its_other_name_is_used_the_same_way(tiny):
    tensors = part(tiny, CLIP_G)
    tensors["text_projection.weight"] = tensors.pop("text_projection")
    assert torch.equal(clip_g_tensors(tensors)["text_projection"], tiny[CLIP_G + "text_projection"])


def test_what_the_first_encoder_does_not_use_is_dropped(tiny):
    tensors = part(tiny, "conditioner.embedders.0.transformer.")
    extended = tensors | {"text_projection.weight": torch.ones(1), "logit_scale": torch.ones(())}
    assert clip_l_tensors(extended).keys() == clip_l_tensors(tensors).keys()
    bare = {key.removeprefix("text_model."): tensor for key, tensor in tensors.items()}
    assert clip_l_tensors(bare).keys() == clip_l_tensors(tensors).keys()


def test_unknown_keys_have_no_unet_name_and_keep_their_text_name():
    tensors = layouts.ldm_unet(layouts.SMALL_UNET)
    names = unet_names(read_layout(tensors, file="x"), ["odd.weight", "out.2.bias", "a"])
    assert names == {"out.2.bias": "conv_out.bias"}
    assert clip_g_tensors({"visual.proj": torch.ones(1)}).keys() == {"visual.proj"}


def test_old_diffusers_names_of_autoencoder_attention_are_understood():
    ones = torch.ones(2, 2)
    old = {f"decoder.mid_block.attentions.0.{n}.weight": ones for n in ("query", "key", "value", "proj_attn")}
    assert {name.split("attentions.0.")[1] for name in diffusers_tensors(old)} == {
        "to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight",
    }  # fmt: skip
