"""Refiners of another architecture behind the shipped base: a small SDXL refiner and a small SD1.5, random weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fooocus_engine.engine import Engine
from fooocus_engine.errors import ModelUnavailable
from fooocus_engine.jobs.job import Job
from fooocus_engine.models.catalogue import EMBEDDED
from fooocus_engine.models.interposer import InterposerNetwork
from fooocus_engine.models.store import INTERPOSER_FILE
from fooocus_engine.settings import Settings
from tests.models import layouts

BASE = EMBEDDED / "checkpoints" / "starter_sdxl.safetensors"
NARROW, WIDE = 64, 128  # the base's text encoders; its pooled vector is the second's
SMALL = {"block_out_channels": (32, 64, 96, 96), "attention_head_dim": 2}
REFINER = (
    layouts.REFINER_UNET
    | SMALL
    | {
        "cross_attention_dim": WIDE,
        "transformer_layers_per_block": 1,
        "projection_class_embeddings_input_dim": WIDE + 5 * 256,
    }
)
SD15 = layouts.SD15_UNET | SMALL | {"cross_attention_dim": NARROW}
TEXT = {"sdxl_refiner": ("conditioner.embedders.1.model.", "conditioner.embedders.0.model."),
        "sd15": ("conditioner.embedders.0.transformer.", "cond_stage_model.transformer.")}  # fmt: skip


def random_unet(config: dict, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        f"model.diffusion_model.{key}": 0.05 * torch.randn(tensor.shape, generator=generator)
        for key, tensor in layouts.ldm_unet(config).items()
    }


def write_refiner(models: Path, family: str) -> str:
    """A checkpoint of the family: its own UNet, text encoder and autoencoder taken over from the shipped base."""
    base = load_file(BASE)
    source, target = TEXT[family]
    text = {target + key.removeprefix(source): t for key, t in base.items() if key.startswith(source)}
    vae = {key: tensor for key, tensor in base.items() if key.startswith("first_stage_model.")}
    folder = models / "checkpoints"
    (folder / family).mkdir(parents=True)
    unet = random_unet(REFINER if family == "sdxl_refiner" else SD15, seed=3)
    save_file({k: t.half().contiguous() for k, t in (unet | text | vae).items()}, folder / f"{family}.safetensors")
    for name, content in (
        ("unet", {"attention_head_dim": 2}),
        ("vae", json.loads((BASE.with_suffix("") / "vae.json").read_text())),
    ):
        (folder / family / f"{name}.json").write_text(json.dumps(content))
    return f"{family}.safetensors"


def write_interposer(models: Path) -> None:
    torch.manual_seed(4)
    (models / "vae_approx").mkdir()
    save_file(InterposerNetwork().state_dict(), models / "vae_approx" / INTERPOSER_FILE)


def picture(models: Path, **fields: object) -> str:
    engine = Engine(Settings(models_dir=models, device="cpu"))
    given = {
        "endpoint": "text-to-image",
        "preset": "starter",
        "prompt": "a red star",
        "image_seed": 7,
        "advanced_params": {"overwrite_step": 4, "overwrite_switch": 2},
        "save_meta": False,
        **fields,
    }
    reply = engine.run(given, Job("refined", lambda event: None))
    return reply["job_result"][0]["base64"]


@pytest.mark.parametrize("swap", ["joint", "separate", "vae"])
def test_an_sdxl_refiner_changes_the_picture(tmp_path, swap):
    name = write_refiner(tmp_path, "sdxl_refiner")
    advanced = {"overwrite_step": 4, "overwrite_switch": 2, "refiner_swap_method": swap}
    refined = picture(tmp_path, refiner_model_name=name, advanced_params=advanced)
    assert refined != picture(tmp_path, advanced_params=advanced)


def test_an_sd15_refiner_makes_the_picture_in_its_own_latents(tmp_path):
    name = write_refiner(tmp_path, "sd15")
    write_interposer(tmp_path)
    assert picture(tmp_path, refiner_model_name=name) != picture(tmp_path)


def test_an_sd15_refiner_without_the_interposer_names_the_missing_file(tmp_path):
    name = write_refiner(tmp_path, "sd15")
    with pytest.raises(ModelUnavailable, match=INTERPOSER_FILE):
        picture(tmp_path, refiner_model_name=name)
