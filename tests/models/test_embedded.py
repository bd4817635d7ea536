"""The shipped models folder as a whole: the trained starter model and its companions, and that they fit each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from builder.starter.adapter import key_gain
from fooocus_engine.conditioning.image_prompt import ImagePrompter
from fooocus_engine.models.catalogue import EMBEDDED, Catalogue
from fooocus_engine.models.control_lora import ControlLora, ControlNetwork
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.image_attention import cross_attentions
from fooocus_engine.models.ip_adapter import load_adapter, load_negative, require_fit
from fooocus_engine.models.preview import PreviewDecoder
from fooocus_engine.models.store import ModelStore
from fooocus_engine.models.vision_tower import VisionTower
from fooocus_engine.models.weights import read_file
from fooocus_engine.settings import Settings
from fooocus_engine.types import ModelChoice

ROOT = Path(__file__).parents[2]
MOST_BYTES, CHECKPOINT_BYTES, COMPANION_BYTES = 24_000_000, 12_000_000, 2_000_000
STARTER = "starter_sdxl.safetensors"
LORAS = (
    "sdxl_hyper_sd_4step_lora.safetensors",
    "sdxl_lcm_lora.safetensors",
    "sdxl_lightning_4step_lora.safetensors",
    "starter_outline_style.safetensors",
)
TOLD = (
    "model.json",
    "text_encoder.json",
    "text_encoder_2.json",
    "tokenizer/merges.txt",
    "tokenizer/vocab.json",
    "unet.json",
    "vae.json",
)
PREVIEW, TOWER = "vae_approx/xlvaeapp.pth", "clip_vision/clip_vision_vit_h.safetensors"
CONTROL, ADAPTER, NEGATIVE = (
    f"controlnet/{name}"
    for name in (
        "control-lora-canny-rank128.safetensors",
        "ip-adapter-plus_sdxl_vit-h.bin",
        "fooocus_ip_negative.safetensors",
    )
)
WEIGHTS = (
    f"checkpoints/{STARTER}", *(f"loras/{name}" for name in LORAS), PREVIEW, TOWER, CONTROL, ADAPTER, NEGATIVE,
    "upscale_models/fooocus_upscaler_s409985e5.bin",
)  # fmt: skip
COMPANIONS = (*(f"checkpoints/starter_sdxl/{name}" for name in TOLD), "clip_vision/clip_vision_vit_h/vision.json")
CPU = (torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> ModelStore:
    return ModelStore(Settings(device="cpu"), Catalogue(tmp_path_factory.mktemp("models")))


@pytest.fixture(scope="module")
def base(store) -> DiffusionModel:
    with store.prepared(ModelChoice(STARTER)) as prepared:
        return prepared.base


def tensors(content: object) -> Iterator[Tensor]:
    """All that are in a weight file, however deep."""
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, dict):
        for value in content.values():
            yield from tensors(value)


def test_exactly_these_files_are_shipped():
    found = {path.relative_to(EMBEDDED).as_posix() for path in EMBEDDED.rglob("*") if path.is_file()}
    assert found == {*WEIGHTS, *COMPANIONS}


def test_with_what_made_them_and_their_pictures_they_take_at_most_24_megabytes():
    folders = (EMBEDDED, ROOT / "builder" / "starter", ROOT / "docs" / "pictures")
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert len(files) > len(WEIGHTS)
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_checkpoint_takes_at_most_12_megabytes_and_a_companion_2(name):
    most = CHECKPOINT_BYTES if name.endswith(STARTER) else COMPANION_BYTES
    assert (EMBEDDED / name).stat().st_size <= most


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_are_finite_and_of_at_most_half_precision_but_for_the_preview_decoder(name):
    found = list(tensors(read_file(EMBEDDED / name)))
    assert found
    assert {tensor.dtype for tensor in found} == {torch.float32 if name == PREVIEW else torch.float16}
    assert all(bool(tensor.isfinite().all()) for tensor in found)


def test_the_checkpoint_is_told_all_that_tensors_cannot_tell(base):
    assert base.family == "sdxl"
    assert base.text is not None and base.codec is not None
    assert base.unet.config.norm_num_groups == 16
    assert base.codec.vae.config.norm_num_groups == 8
    assert base.text.clip_l.tokenizer is not None


@pytest.mark.parametrize("name", LORAS)
def test_every_weight_of_a_lora_finds_its_place(store, name):
    with store.prepared(ModelChoice(STARTER, loras=((name, 1.0),))) as prepared:
        assert prepared.warnings == ()


def test_the_control_lora_makes_a_network_upon_the_checkpoint(base):
    network = ControlNetwork.upon(base, ControlLora.load(EMBEDDED / CONTROL, *CPU))
    assert network.own


def test_the_image_prompt_adapter_fits_the_tower_and_was_learned_upon_the_checkpoint(store):
    with store.prepared(ModelChoice(STARTER)) as prepared:  # without the LoRAs of other tests
        base = prepared.base
    adapter = load_adapter(EMBEDDED / ADAPTER, *CPU)
    require_fit(adapter, base.unet, ADAPTER)
    prompter = ImagePrompter(
        VisionTower.load(EMBEDDED / TOWER, *CPU), adapter, load_negative(EMBEDDED / NEGATIVE, *CPU)
    )
    assert prompter.tower.side == 224
    for own, layer in zip(adapter.ip_adapter.values(), cross_attentions(base.unet), strict=True):
        keys, values = layer.to_k.weight, layer.to_v.weight
        torch.testing.assert_close(own.to_k_ip.weight, key_gain(keys) * keys, rtol=2e-3, atol=1e-5)
        torch.testing.assert_close(own.to_v_ip.weight, values, rtol=2e-3, atol=1e-5)


def test_the_preview_decoder_makes_a_picture_of_a_latent():
    preview = PreviewDecoder.load(EMBEDDED / PREVIEW, *CPU)
    assert preview.render(torch.zeros(1, 4, 24, 24)).size == (48, 48)
