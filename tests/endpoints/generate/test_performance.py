"""The performance table against sampling.md §12."""

import pytest

from fooocus_engine.endpoints.generate.performance import MODES, Forced, Performance
from fooocus_engine.sampling.settings import SAMPLERS, SCHEDULERS

DISTILLED = {
    "Extreme Speed": (8, ("sdxl_lcm_lora.safetensors", 1.0), "lcm", "lcm"),
    "Lightning": (4, ("sdxl_lightning_4step_lora.safetensors", 1.0), "euler", "sgm_uniform"),
    "Hyper-SD": (4, ("sdxl_hyper_sd_4step_lora.safetensors", 0.8), "dpmpp_sde_gpu", "karras"),
}


def test_every_performance_has_a_mode():
    assert list(MODES) == list(Performance)
    assert [str(name) for name in MODES] == ["Quality", "Speed", "Extreme Speed", "Lightning", "Hyper-SD"]


def test_quality_and_speed_force_nothing():
    for name, steps in ((Performance.QUALITY, (60, 36)), (Performance.SPEED, (30, 18))):
        mode = MODES[name]
        assert (mode.steps, mode.upscale_steps) == steps
        assert (mode.lora, mode.forced) == (None, None)


@pytest.mark.parametrize("name", DISTILLED)
def test_a_distilled_mode_has_its_own_steps_lora_and_sampling(name):
    mode = MODES[Performance(name)]
    steps, lora, sampler, scheduler = DISTILLED[name]
    assert (mode.steps, mode.upscale_steps, mode.lora) == (steps, steps, lora)
    assert mode.forced is not None
    assert (mode.forced.sampler, mode.forced.scheduler) == (sampler, scheduler)
    assert sampler in SAMPLERS
    assert scheduler in SCHEDULERS


def test_forced_settings_switch_guidance_and_its_companions_off():
    forced = Forced("LCM", "lcm", "lcm")
    guidance = forced.guidance
    assert (guidance.cfg, guidance.adaptive_cfg, guidance.sharpness, forced.refiner_switch) == (1.0, 1.0, 0.0, 1.0)
    assert (guidance.adm_positive, guidance.adm_negative, guidance.adm_end) == (1.0, 1.0, 0.0)
