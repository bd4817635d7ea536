"""Pictures to image prompts: preprocessing by hand, the recorded tokens, and files that do not fit together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from fooocus_engine.conditioning.image_prompt import ImagePrompter, normalised, pixels
from fooocus_engine.errors import BadModelFile
from fooocus_engine.models.ip_adapter import AdapterSizes, ImagePromptAdapter, load_adapter, load_negative
from fooocus_engine.models.resampler import ResamplerSizes
from fooocus_engine.models.vision_tower import VisionTower
from tests.golden.records import OWN_RECORDS
from tests.golden.workbench import install_image_prompt_adapters

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def prompter(tmp_path_factory) -> ImagePrompter:
    models = tmp_path_factory.mktemp("models")
    install_image_prompt_adapters(OWN_RECORDS / "tiny" / "adapters", models)
    control = models / "controlnet"
    return ImagePrompter(
        VisionTower.load(models / "clip_vision" / "clip_vision_vit_h.safetensors", CPU, torch.float32),
        load_adapter(control / "ip-adapter-plus_sdxl_vit-h.bin", CPU, torch.float32),
        load_negative(control / "fooocus_ip_negative.safetensors", CPU, torch.float32),
    )


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_colours_are_normed_by_clips_numbers():
    made = normalised(torch.tensor([1.0, 0.0, 0.5])[None, :, None, None])
    expected = [(1 - 0.48145466) / 0.26862954, -0.4578275 / 0.26130258, (0.5 - 0.40821073) / 0.27577711]
    assert made.flatten().tolist() == pytest.approx(expected, rel=1e-6)


def test_a_picture_is_pressed_into_a_square_and_nothing_is_cut_off():
    wide = Image.new("RGB", (400, 100))
    wide.paste((255, 255, 255), (0, 0, 200, 100))
    made = pixels(wide, 224)
    assert made.shape == (1, 3, 224, 224)
    left, right = made[0, 0, :, :100], made[0, 0, :, 124:]
    assert torch.allclose(left, left[0, 0]) and torch.allclose(right, right[0, 0])
    assert left[0, 0] > right[0, 0]


def test_rows_are_resampled_before_columns():
    tall = Image.fromarray(np.random.default_rng(0).integers(0, 2, (300, 90, 3), np.uint8) * 255)
    rows = tall.resize((224, 300), Image.Resampling.LANCZOS)
    assert torch.equal(pixels(tall, 224), pixels(rows.resize((224, 224), Image.Resampling.LANCZOS), 224))


def test_a_picture_of_the_right_size_is_not_resampled():
    image = noise(224, 224)
    back = pixels(image, 224)[0] * torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    back = back + torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    assert np.array_equal((back * 255).round().to(torch.uint8).permute(1, 2, 0).numpy(), np.asarray(image))


def test_both_halves_go_through_the_same_matrices(prompter: ImagePrompter):
    prompt = prompter.prompt(noise(90, 60), weight=0.6, stop=0.5)
    tokens = prompter.adapter.tokens(prompter.tower.features(pixels(noise(90, 60), 224)))
    for half, expected in ((prompt.positive, tokens), (prompt.negative, prompter.negative)):
        for (k, v), layer in zip(half, prompter.adapter.ip_adapter.values(), strict=True):
            assert torch.equal(k, expected @ layer.to_k_ip.weight.T)
            assert torch.equal(v, expected @ layer.to_v_ip.weight.T)
    assert (prompt.weight, prompt.stop, prompt.separate) == (0.6, 0.5, False)


def test_different_pictures_make_different_prompts(prompter: ImagePrompter):
    one, two = (
        prompter.prompt(image, weight=1, stop=1) for image in (noise(64, 64), Image.new("RGB", (64, 64), "red"))
    )
    assert not torch.allclose(one.positive[0][0], two.positive[0][0], atol=1e-3)
    assert torch.equal(one.negative[0][0], two.negative[0][0])


def test_negative_tokens_of_another_shape_are_refused(prompter: ImagePrompter):
    with pytest.raises(BadModelFile, match=r"\(1, 3, 128\), not \(1, 4, 128\)"):
        replace(prompter, negative=prompter.negative[:, :3])


def test_a_tower_of_another_width_is_refused(prompter: ImagePrompter):
    sizes = AdapterSizes(
        ResamplerSizes(tokens=4, features=32, width=64, context=128, layers=1, inner=64, heads=1, feed_forward=64), {}
    )
    with pytest.raises(BadModelFile, match="takes 32 features, not 64"):
        replace(prompter, adapter=ImagePromptAdapter(sizes))
