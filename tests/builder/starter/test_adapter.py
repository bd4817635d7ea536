"""The starter model's image-prompt adapter: its files, its weighting, its samples, and a training that resumes."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import torch

from builder.starter.adapter import ADAPTER_FILE, FACTS, NEGATIVE_FILE, TOWER_FILE, Adapter, fact_rows, write_files
from builder.starter.autoencoder import Teacher
from builder.starter.base import load_base
from builder.starter.image_samples import draw_prompt_batch, open_text, prompt_pool, trust, without_colours
from builder.starter.model import Networks, Words, new_tokenizer
from builder.starter.train_adapter import Run, parser
from builder.starter.training import StaleState
from builder.starter.world import Group, Scene, training_scene
from fooocus_engine.conditioning.image_prompt import ImagePrompter
from fooocus_engine.models.image_attention import layer_widths
from fooocus_engine.models.ip_adapter import load_adapter, load_negative, require_fit
from fooocus_engine.models.vision_tower import VisionTower
from tests.builder.starter.bases import move, write_base

CPU = torch.device("cpu")
HALF = 2e-3  # weights are rounded to float16
MOST_BYTES = 2_000_000


@pytest.fixture(scope="module")
def networks() -> Networks:
    torch.manual_seed(0)
    return Networks(new_tokenizer()).eval()


@pytest.fixture(scope="module")
def adapter(networks: Networks) -> Adapter:
    torch.manual_seed(0)
    return Adapter(layer_widths(networks.unet)).eval()


def test_the_files_load_through_the_engine_and_compute_what_was_trained(adapter, networks, tmp_path: Path):
    paths = write_files(adapter, tmp_path)
    assert sum(path.stat().st_size for path in paths) <= MOST_BYTES
    layers = load_adapter(tmp_path / ADAPTER_FILE, CPU, torch.float32)
    require_fit(layers, networks.unet, "adapter")
    prompter = ImagePrompter(
        VisionTower.load(tmp_path / TOWER_FILE, CPU, torch.float32),
        layers,
        load_negative(tmp_path / NEGATIVE_FILE, CPU, torch.float32),
    )
    pixels = torch.randn(1, 3, 224, 224)
    made = prompter.adapter.tokens(prompter.tower.features(pixels))
    with torch.no_grad():
        features = adapter.tower.vision_model(pixels, output_hidden_states=True).hidden_states[-2]
        assert torch.allclose(made, adapter.adapter.tokens(features), atol=20 * HALF)  # after seven layers
    assert torch.allclose(prompter.negative, adapter.negative, atol=HALF)


def test_keys_start_so_large_that_a_whole_weight_leaves_ordinary_ones(adapter: Adapter):
    pixels = torch.randn(4, 3, 224, 224)
    with torch.no_grad():
        layers = adapter.keys_values(pixels, torch.zeros(4, dtype=torch.bool), torch.ones(4))
    assert [k.shape[-1] for k, _ in layers] == [64, 96, 96, 96, 64, 64, 96]
    assert all(0.2 < float(k.detach().std()) < 1.5 for k, _ in layers)


def test_rows_without_a_picture_see_the_negative_tokens(adapter: Adapter):
    pixels, weight = torch.randn(2, 3, 224, 224), torch.ones(2)
    with torch.no_grad():
        one, other = (adapter.keys_values(x, torch.tensor([True, False]), weight) for x in (pixels, pixels + 1))
    for (k, v), (other_k, other_v) in zip(one, other, strict=True):
        assert torch.equal(k[0], other_k[0]) and torch.equal(v[0], other_v[0])
        assert not torch.equal(k[1], other_k[1])


def test_a_scene_has_the_facts_of_its_background_and_groups():
    groups = tuple(
        Group(number=1, colour=colour, shape=shape, size="small", fill="plain", place=None)
        for colour, shape in (("blue", "star"), ("pink", "ring"))
    )
    (row,) = fact_rows([Scene("red", groups, None)])
    told = [FACTS[index] for index in row.nonzero().flatten()]
    assert told == ["red", "blue", "pink", "star", "ring", "blue star", "pink ring"]
    assert int(row.nonzero()[0]) == FACTS.index("red")  # the background's fact, not the colour's


def test_open_texts_seldom_name_a_colour():
    random = Random(0)
    scenes = [training_scene(random) for _ in range(300)]
    named = sum(any(group.colour in open_text(scene, random).split() for group in scene.groups) for scene in scenes)
    assert named < 100


def test_colours_are_taken_out_of_a_caption():
    assert without_colours("a large red star, blue background") == "a large star, background"


def test_trust_rises_with_the_weight_throughout():
    values = [trust(weight) for weight in (0.1, 0.5, 1.0, 1.5, 2.0)]
    assert values == sorted(set(values))
    assert 0 < values[0] < 0.3 and values[-1] > 0.95


def test_a_batch_has_weights_pictures_and_texts_for_each_latent(networks: Networks):
    pool = prompt_pool(Teacher(), 1, 4)
    batch = draw_prompt_batch(pool, 6, Words(networks.clip_l.tokenizer), Random(2))
    assert batch.latents.shape == (6, 4, 24, 24)
    assert batch.pixels.shape == (6, 3, 224, 224)
    assert len(batch.chunks) == len(batch.sizes) == len(batch.weight) == len(batch.is_negative) == 6


def test_a_training_goes_on_where_it_was_stopped_and_leaves_its_base_alone(tmp_path: Path):
    write_base(tmp_path, tmp_path)

    def run(tower: int, steps: int) -> Run:
        folders = ["--work", str(tmp_path), "--models", str(tmp_path)]
        made = Run(
            parser().parse_args([*folders, "--tower", str(tower), "--steps", str(steps), "--batch", "2", "--pool", "2"])
        )
        made.run()
        return made

    first = run(1, 1)
    second = run(1, 2)
    steps = [torch.load(tmp_path / name, weights_only=True)["step"] for name in ("tower.pt", "adapter.pt")]
    assert steps == [1, 2]
    before, after = first.adapter.state_dict(), second.adapter.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in after)
    unmoved = load_base(tmp_path, tmp_path).networks.state_dict()
    base = second.base.networks.state_dict()
    assert all(torch.equal(base[name], tensor) for name, tensor in unmoved.items())
    assert not any(module._forward_hooks for module in second.base.networks.unet.modules())
    assert (tmp_path / ADAPTER_FILE).is_file()

    move(tmp_path)
    with pytest.raises(StaleState, match=r"tower\.pt"):
        run(1, 2)
