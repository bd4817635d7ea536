"""The painter and its processes on an untrained starter model with loud companions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from builder.starter.adapter import Adapter, write_files
from builder.starter.base import loaded, networks_of
from builder.starter.control_start import untrained
from builder.starter.export import NAME
from builder.starter.painter import Painter, Shown, Wanted
from builder.starter.studio import Painters
from builder.starter.train_control import FILE, write_file
from fooocus_engine.endpoints.generate.image_prompts import Kind
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.errors import ModelUnavailable
from fooocus_engine.models.catalogue import CHECKPOINTS, CONTROLNET, LORAS
from tests.builder.starter.bases import write_base
from tests.pictures import textured

FIELDS = {"advanced_params": {"overwrite_step": 2}}
SIDE = 64


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_base(folder, folder)
    base = loaded(folder)
    write_files(Adapter(networks_of(base)), folder)
    tensors = untrained(base, 2)
    write_file(
        {key: value if value.any() else torch.randn_like(value) * 0.1 for key, value in tensors.items()},
        folder / CONTROLNET,
    )
    return folder


@pytest.fixture(scope="module")
def painter(models: Path) -> Painter:
    return Painter(models, NAME)


def wanted(seed: int = 1, **more) -> Wanted:
    return Wanted("a star", seed, (SIDE, SIDE), FIELDS, **more)


def same(a: Image.Image, b: Image.Image) -> bool:
    return np.array_equal(np.asarray(a), np.asarray(b))


def test_a_control_and_an_image_prompt_are_felt_and_leave_no_trace(painter):
    red = Image.new("RGB", (SIDE, SIDE), "red")
    plain = painter.picture(wanted())
    assert plain.size == (SIDE, SIDE)
    assert not same(painter.picture(wanted(shown=Shown(Kind.CANNY, textured((SIDE, SIDE))))), plain)
    assert not same(painter.picture(wanted(shown=Shown(Kind.IMAGE, red, 1.0))), plain)
    assert same(painter.picture(wanted()), plain)


def test_a_painter_knows_what_is_installed_for_its_model(painter):
    assert painter.has(CONTROLNET, FILE)
    assert not painter.has(LORAS, "sdxl_lcm_lora.safetensors")  # the shipped one is for the shipped model


def test_a_model_that_is_not_in_its_folder_is_refused_although_one_of_that_name_may_be_shipped(tmp_path):
    with pytest.raises(ModelUnavailable, match="is no file"):
        Painter(tmp_path, NAME)


def test_the_shipped_model_is_not_taken_from_a_folder(tmp_path):
    hiding = tmp_path / CHECKPOINTS / preset_named("starter").base_model_name
    hiding.parent.mkdir()
    hiding.touch()
    with pytest.raises(ModelUnavailable, match="hidden by"):
        Painter(tmp_path)


def test_processes_paint_the_same_bits_in_the_order_asked_for(models, painter):
    asked = [wanted(seed) for seed in (1, 2, 3)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = [painter.picture(each) for each in asked]
    finally:
        torch.set_num_threads(threads)
    with Painters(models, NAME, 2) as painters:
        assert all(same(a, b) for a, b in zip(painters.pictures(asked), alone, strict=True))
