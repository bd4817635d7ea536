from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fooocus_engine.errors import EngineError
from fooocus_engine.sampling.model_sampling import model_sampling
from fooocus_engine.sampling.sample import Recipe, Sampled, sample
from fooocus_engine.sampling.schedules import sampler_sigmas
from fooocus_engine.sampling.settings import GuidanceSettings, RefinerSwap, SamplingSettings
from fooocus_engine.sampling.unet_denoiser import Stage
from fooocus_engine.types import Canvas, Step
from tests.golden.compare import tensor_error
from tests.models.tiny import group
from tests.sampling.stages import fake_model, fake_stage, recorded_stage

CANVAS = Canvas((72, 64))
GUIDANCE = GuidanceSettings()
RECORDED_SAMPLERS = ("euler", "dpmpp_2m_sde_gpu", "dpmpp_3m_sde", "uni_pc")


def settings(**changes) -> SamplingSettings:
    return replace(SamplingSettings(steps=6, switch=3), **changes)


def run(recipe: Recipe, seed: int = 1) -> tuple[Sampled, list[Step]]:
    steps: list[Step] = []
    return sample(recipe, seed=seed, on_step=steps.append), steps


def fake_recipe(sampling: SamplingSettings | None = None, refiner: Stage | None = None, **changes) -> Recipe:
    return replace(Recipe(fake_stage(), refiner, CANVAS, sampling or settings(), GUIDANCE), **changes)


def evaluations(stage: Stage) -> int:
    return len(stage.model.unet.calls)


@pytest.mark.parametrize("sampler", RECORDED_SAMPLERS)
def test_a_latent_is_that_of_the_reference(sampler: str):
    record, first = (group("B_samplers").record(f"unet/{name}/karras/8") for name in (sampler, "euler"))
    asked = record.settings
    adm = dict(zip(("adm_positive", "adm_negative", "adm_end"), asked["adm"], strict=True))
    texts = {name: first.input(name) for name in ("cond", "cond_pooled", "uncond", "uncond_pooled")}
    recipe = Recipe(
        recorded_stage(adm, texts, (128, 128)),
        None,
        Canvas((128, 128)),
        SamplingSettings(asked["steps"], asked["steps"], sampler, asked["scheduler"]),
        GuidanceSettings(asked["cfg"], asked["sharpness"], asked["adaptive_cfg"]),
    )
    result, _ = run(recipe, asked["seed"])
    assert tensor_error(result.latent, record.output("latent"), absolute=0, relative=1e-4) <= 1


def test_the_same_seed_gives_the_same_bits():
    assert torch.equal(run(fake_recipe())[0].latent, run(fake_recipe())[0].latent)
    assert not torch.equal(run(fake_recipe())[0].latent, run(fake_recipe(), seed=2)[0].latent)


def test_a_latent_has_an_eighth_of_the_size_without_rounding():
    result, _ = run(fake_recipe(canvas=Canvas((79, 64))))
    assert result.latent.shape == (1, 4, 8, 9)
    assert result.latent.dtype == torch.float32
    assert (result.by, result.first) == ("base", None)


def test_steps_are_reported_with_the_total_asked_for():
    _, steps = run(fake_recipe(settings(scheduler="ddim_uniform", sampler="euler")))
    assert [(step.index, step.total) for step in steps] == [(i, 6) for i in range(6)]


@pytest.mark.parametrize("scheduler", ["karras", "lcm", "tcd", "edm_playground_v2.5"])
def test_a_light_repaint_keeps_what_was_there_but_for_the_noise_added(scheduler: str):
    start = torch.randn((1, 4, 8, 9), generator=torch.Generator().manual_seed(0)) * 8
    kept = start.clone()
    asked = settings(denoise=0.01, sampler="euler", scheduler=scheduler)
    blind = fake_stage(fake_model(factor=0.0))  # finds no noise, so takes none away
    result, _ = run(fake_recipe(asked, base=blind, canvas=Canvas((72, 64), start)))
    sigma = float(sampler_sigmas(asked, model_sampling(scheduler, "epsilon"))[0])
    largest_scale = 17 if scheduler == "edm_playground_v2.5" else 1 / 0.13025  # of the latent, over the model's
    assert float((result.latent - start).abs().max()) < 5 * sigma * largest_scale
    assert torch.equal(start, kept)


def test_what_is_not_finite_is_an_error_that_names_sampler_and_scheduler():
    with pytest.raises(EngineError, match=r"tcd.*karras"):
        run(fake_recipe(settings(sampler="tcd", scheduler="karras")))


def test_tcd_on_a_scheduler_without_a_table_is_an_error():
    with pytest.raises(EngineError, match="tcd"):
        run(fake_recipe(settings(sampler="tcd", scheduler="edm_playground_v2.5")))


def test_noise_levels_that_repeat_are_an_error_for_solvers_that_divide_by_their_distance():
    with pytest.raises(EngineError, match="simple"):
        run(fake_recipe(settings(steps=30, denoise=0.02, sampler="dpmpp_2m", scheduler="simple")))


def test_in_a_joint_run_the_refiner_takes_over_after_the_switch_step():
    refiner = fake_stage()
    recipe = fake_recipe(settings(sampler="euler", switch=2), refiner)
    result, steps = run(recipe)
    assert (evaluations(recipe.base), evaluations(refiner)) == (3, 3)
    assert len(steps) == 6
    assert (result.by, result.first) == ("base", None)


def test_a_switch_past_the_end_never_comes():
    refiner = fake_stage()
    run(fake_recipe(settings(switch=6), refiner))
    assert evaluations(refiner) == 0


def test_a_refiner_equal_to_the_base_changes_nothing_in_a_joint_run():
    assert torch.equal(run(fake_recipe(refiner=fake_stage()))[0].latent, run(fake_recipe())[0].latent)


def test_separate_runs_of_a_memoryless_sampler_equal_one_run():
    whole, _ = run(fake_recipe(settings(sampler="euler_ancestral")))
    recipe = fake_recipe(settings(sampler="euler_ancestral", swap=RefinerSwap.SEPARATE), fake_stage())
    parts, steps = run(recipe)
    assert torch.allclose(parts.latent, whole.latent, rtol=1e-4, atol=1e-4)
    assert [step.index for step in steps] == list(range(6))
    assert parts.first is not None
    assert not torch.equal(parts.first, parts.latent)


def test_without_a_refiner_the_base_makes_both_separate_runs():
    recipe = fake_recipe(settings(sampler="euler", swap=RefinerSwap.SEPARATE))
    run(recipe)
    assert evaluations(recipe.base) == 6


def test_a_refiner_with_latents_of_its_own_starts_from_converted_ones():
    converted: list[Tensor] = []

    def interposer(latent: Tensor) -> Tensor:
        converted.append(latent)
        return latent * 2

    refiner = replace(fake_stage(fake_model("sd15")), interposer=interposer)
    recipe = fake_recipe(settings(sampler="euler"), refiner)
    result, steps = run(recipe)
    assert result.by == "refiner"
    assert result.first is not None
    assert torch.equal(converted[0], result.first)
    assert (evaluations(recipe.base), evaluations(refiner)) == (3, 3)
    assert [step.index for step in steps] == list(range(6))
    assert [step.by for step in steps] == ["base"] * 3 + ["refiner"] * 3


def test_a_second_pass_that_starts_above_the_table_is_noisy_by_its_own_formula():
    refiner = fake_stage()
    run(fake_recipe(settings(sampler="euler", switch=0, swap=RefinerSwap.VAE), refiner), seed=7)
    noise = torch.randn((1, 4, 8, 9), generator=torch.Generator().manual_seed(8))
    sigma = 1.4 * 14.614643  # sampling.md §10.4: noise · sigma, where §3 would give noise · sqrt(1 + sigma²)
    assert torch.allclose(refiner.model.unet.calls[0]["x"][:1], noise * sigma / (sigma**2 + 1) ** 0.5, rtol=1e-5)


def test_a_second_pass_with_nothing_to_do_returns_the_first_pass():
    recipe = fake_recipe(settings(switch=6, swap=RefinerSwap.VAE), fake_stage())
    result, _ = run(recipe)
    assert torch.equal(result.latent, result.first)


def test_unlike_refiners_need_an_interposer():
    with pytest.raises(ValueError, match="sd15"):
        run(fake_recipe(refiner=fake_stage(fake_model("sd15"))))


def test_a_light_repaint_by_an_unlike_refiner_stays_in_its_latents():
    refiner = fake_stage(fake_model("sd15"))
    recipe = fake_recipe(settings(denoise=0.2, switch=1), refiner, canvas=Canvas((72, 64), torch.zeros(1, 4, 8, 9)))
    result, steps = run(recipe)
    assert result.by == "refiner"
    assert {step.by for step in steps} == {"refiner"}
    assert evaluations(recipe.base) == 0
