"""The starter model's image-prompt adapter: its files, its keys, its errors, its samples, a training that resumes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from builder.starter.adapter import ADAPTER_FILE, NEGATIVE_FILE, TOWER_FILE, Adapter, write_files
from builder.starter.base import load_base
from builder.starter.image_samples import PromptPool, prompt_pool
from builder.starter.model import Networks, new_tokenizer
from builder.starter.train_adapter import Pools, Run, parser
from builder.starter.training import StaleState
from fooocus_engine.conditioning.image_prompt import ImagePrompter
from fooocus_engine.models.image_attention import cross_attentions, weighted
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
    return Adapter(networks).eval()


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


def test_at_a_weight_of_1_a_token_has_the_keys_that_it_has_in_a_text(adapter: Adapter, networks: Networks):
    tokens = torch.randn(2, 8, 192)
    layers = weighted(adapter.adapter.keys_values(tokens), 1.0)
    for (keys, values), layer in zip(layers, cross_attentions(networks.unet), strict=True):
        torch.testing.assert_close(keys, layer.to_k(tokens))
        own = layer.to_v(tokens)
        torch.testing.assert_close(values - values.mean(1, keepdim=True), own - own.mean(1, keepdim=True))


def test_an_error_of_the_deviation_of_the_states_counts_as_1(adapter: Adapter):
    states = torch.randn(50, 8, 192) * 3 + 7
    wrong = states - states.mean(0)
    metric = adapter.metric(states)
    assert float(((wrong @ metric) * wrong).sum(-1).mean()) == pytest.approx(1, rel=1e-4)


def test_an_error_weighs_as_it_does_in_keys_and_values(adapter: Adapter, networks: Networks):
    states, wrong = torch.randn(50, 8, 192), torch.randn(192)
    centred = states - states.mean(0)
    with torch.no_grad():
        expected = [
            projection(wrong).square().sum() / projection(centred).square().sum(-1).mean()
            for layer in cross_attentions(networks.unet)
            for projection in (layer.to_k, layer.to_v)
        ]
    torch.testing.assert_close(wrong @ adapter.metric(states) @ wrong, torch.stack(expected).mean())


def test_a_pool_has_pictures_and_states(tmp_path: Path):
    write_base(tmp_path, tmp_path)
    pool = prompt_pool(load_base(tmp_path, tmp_path), 1, 4)
    assert pool.pictures.shape == (4, 3, 224, 224) and pool.pictures.dtype == torch.uint8
    assert pool.states.shape == (4, 8, 192)
    assert pool.pixels([2, 0]).shape == (2, 3, 224, 224)
    assert not torch.equal(pool.states[0], pool.states[1])
    again = prompt_pool(load_base(tmp_path, tmp_path), 1, 4)
    assert torch.equal(again.pictures, pool.pictures) and torch.equal(again.states, pool.states)


def test_a_pool_is_drawn_anew_after_four_uses_of_each_picture():
    drawn: list[int] = []

    def draw(seed: int) -> PromptPool:
        drawn.append(seed)
        return PromptPool([], torch.empty(0), torch.empty(0))

    pools = Pools(draw, 7, 10)
    for _ in range(9):
        pools.at_hand(10)
    assert drawn == [7, 8, 9]


def run(folder: Path, steps: int, *more: str) -> Run:
    folders = ["--work", str(folder), "--models", str(folder)]
    made = Run(parser().parse_args([*folders, "--steps", str(steps), "--batch", "2", "--pool", "2", *more]))
    made.run()
    return made


def test_the_error_is_0_for_the_states_themselves_and_1_for_their_mean(tmp_path: Path, monkeypatch):
    write_base(tmp_path, tmp_path)
    made = Run(parser().parse_args(["--work", str(tmp_path), "--models", str(tmp_path), "--steps", "1"]))
    states, chosen = made.kept.states, list(range(len(made.kept.states)))
    for told, error in ((states, 0), (states.mean(0).expand_as(states), 1)):
        monkeypatch.setattr(made.adapter, "tokens", lambda pixels, told=told: told)
        assert float(made.error(made.kept, chosen)) == pytest.approx(error, abs=1e-3)


def test_steps_lower_the_error_on_pictures_that_training_does_not_show(tmp_path: Path):
    write_base(tmp_path, tmp_path)
    start, after = run(tmp_path, 0), run(tmp_path, 12, "--batch", "8", "--pool", "24", "--rate", "0.003")
    with torch.no_grad():
        before, now = (float(made.error(made.kept, list(range(50)))) for made in (start, after))
    assert now < before


def test_a_training_goes_on_where_it_was_stopped_and_moves_only_what_is_to_learn(tmp_path: Path):
    write_base(tmp_path, tmp_path)
    start, first, second = (run(tmp_path, steps) for steps in (0, 1, 2))
    assert torch.load(tmp_path / "adapter.pt", weights_only=True)["step"] == 2
    for before, after in ((start, first), (first, second)):
        old, new = before.adapter.state_dict(), after.adapter.state_dict()
        moved = {name for name in new if not torch.equal(old[name], new[name])}
        assert moved and moved <= after.adapter.learned().keys()
    unmoved = load_base(tmp_path, tmp_path).networks.state_dict()
    base = second.base.networks.state_dict()
    assert all(torch.equal(base[name], tensor) for name, tensor in unmoved.items())
    assert (tmp_path / ADAPTER_FILE).is_file()

    move(tmp_path)
    with pytest.raises(StaleState, match=r"adapter\.pt"):
        run(tmp_path, 2)
