"""Known pixels stay while the rest is painted."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fooocus_engine.sampling.masking import KeepKnownPixels
from fooocus_engine.sampling.noise import known_noise
from fooocus_engine.sampling.sample import Recipe, sample
from fooocus_engine.sampling.settings import SAMPLERS, GuidanceSettings, RefinerSwap, SamplingSettings
from fooocus_engine.types import Canvas, Known
from tests.sampling.stages import fake_model, fake_stage

SHAPE = (1, 4, 8, 9)
CPU = torch.device("cpu")
SCALE = 0.13025
PAINTED = torch.zeros(1, 1, 8, 9)
PAINTED[..., :5] = 1


def random(seed: int) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def recipe(known: Known | None, sampler: str = "euler", **changes) -> Recipe:
    settings = {"steps": 4, "switch": 2, "sampler": sampler, **changes}
    canvas = Canvas((72, 64), known=known)
    return Recipe(fake_stage(), None, canvas, SamplingSettings(**settings), GuidanceSettings())


def kept(latent: Tensor) -> Tensor:
    return latent[..., 5:]


def test_the_model_sees_known_pixels_at_the_noise_level_and_the_result_has_them_clean():
    seen: list[Tensor] = []
    x, known, noise = random(1), random(2), random(3)
    denoise = KeepKnownPixels(lambda x, sigma: seen.append(x) or x * 2, known, PAINTED, lambda: noise)
    result = denoise(x, 3.0)
    assert torch.equal(kept(seen[0]), kept(known + noise * 3.0))
    assert torch.equal(kept(result), kept(known))
    assert torch.equal(result[..., :5], x[..., :5] * 2)
    assert torch.equal(seen[0][..., :5], x[..., :5])


def test_where_everything_is_painted_nothing_is_kept():
    x = random(1)
    denoise = KeepKnownPixels(lambda x, sigma: x * 2, random(2), torch.ones(1, 1, 8, 9), lambda: random(3))
    assert torch.equal(denoise(x, 3.0), x * 2)


def test_noise_of_known_pixels_is_that_of_the_next_seed_and_fresh_at_every_call():
    draw = known_noise(41, SHAPE, CPU)
    generator = torch.Generator().manual_seed(42)
    for _ in range(2):
        assert torch.equal(draw(), torch.randn(SHAPE, generator=generator))


def test_the_seed_after_the_last_one_is_the_first():
    last = 2**63 - 2  # (seed + 1) mod (2^63 − 1), sampling.md §9
    assert torch.equal(known_noise(last, SHAPE, CPU)(), random(0))


@pytest.mark.parametrize("sampler", sorted(set(SAMPLERS) - {"uni_pc", "uni_pc_bh2", "dpm_fast", "dpm_adaptive", "tcd"}))
def test_a_finished_latent_holds_the_known_pixels(sampler):
    known = Known(random(5) * 8, PAINTED)
    latent = sample(recipe(known, sampler), seed=1, on_step=lambda step: None).latent
    torch.testing.assert_close(kept(latent), kept(known.latent), rtol=1e-4, atol=1e-3)  # float32, four steps


@pytest.mark.parametrize("sampler", ["uni_pc", "uni_pc_bh2"])
def test_unipc_does_not_hear_of_known_pixels(sampler):
    told = sample(recipe(Known(random(5), PAINTED), sampler), seed=1, on_step=lambda step: None).latent
    untold = sample(recipe(None, sampler), seed=1, on_step=lambda step: None).latent
    assert torch.equal(told, untold)


def test_both_of_two_runs_keep_the_pixels():
    known = Known(random(5) * 8, PAINTED)
    sampled = sample(recipe(known, swap=RefinerSwap.SEPARATE), seed=1, on_step=lambda step: None)
    assert sampled.first is not None
    torch.testing.assert_close(kept(sampled.latent), kept(known.latent), rtol=1e-4, atol=1e-3)


def test_a_second_pass_in_other_latents_keeps_the_picture_in_those():
    refiner = replace(fake_stage(fake_model("sd15")), interposer=lambda latent: latent)
    known = Known(random(5) * 8, PAINTED, for_refiner=random(6) * 8)
    sampled = sample(replace(recipe(known), refiner=refiner), seed=1, on_step=lambda step: None)
    assert sampled.first is not None
    torch.testing.assert_close(kept(sampled.first), kept(known.latent), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(kept(sampled.latent), kept(known.for_refiner), rtol=1e-4, atol=1e-3)


def test_a_model_with_latents_of_its_own_needs_the_picture_in_them():
    refiner = fake_stage(fake_model("sd15"))
    asked = recipe(Known(random(5), PAINTED), denoise=0.2, switch=1)
    with pytest.raises(ValueError, match="sd15"):
        sample(
            Recipe(asked.base, refiner, asked.canvas, asked.sampling, asked.guidance), seed=1, on_step=lambda _: None
        )
