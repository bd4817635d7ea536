from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fooocus_engine.sampling.model_sampling import discrete_sampling, model_sampling
from fooocus_engine.sampling.schedules import (
    align_your_steps_sigmas,
    ddim_uniform_sigmas,
    named_sigmas,
    sampler_sigmas,
    scheduler_sigmas,
    truncated,
)
from fooocus_engine.sampling.settings import SAMPLERS, SCHEDULERS, SamplingSettings
from tests.models.tiny import group

LAST_BITS = 4e-7  # three units in the last place of float32
RECORDS = [record for record in group("A_schedules").records if "scheduler" in record.settings]


def settings(scheduler: str, steps: int, *, sampler: str = "euler", denoise: float = 1.0) -> SamplingSettings:
    return SamplingSettings(steps=steps, switch=steps, sampler=sampler, scheduler=scheduler, denoise=denoise)


def same(actual: Tensor, expected: Tensor) -> bool:
    """Equal but for the last bits of an exponential, which processors round differently."""
    return actual.shape == expected.shape and torch.allclose(actual, expected, rtol=LAST_BITS, atol=0)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.id)
def test_every_list_is_that_of_the_reference_up_to_a_last_bit(record):
    wanted = record.settings
    tables, plain = model_sampling(wanted["scheduler"], "epsilon"), discrete_sampling()

    def asked(sampler: str) -> SamplingSettings:
        return settings(wanted["scheduler"], wanted["steps"], sampler=sampler, denoise=wanted["denoise"])

    for sampler in ("euler", "dpm_2", "uni_pc"):
        assert same(sampler_sigmas(asked(sampler), tables), record.output(sampler))
    assert same(named_sigmas(asked("euler"), plain), record.output("tree"))
    assert same(named_sigmas(asked("dpm_2"), plain), record.output("tree_dpm_2"))


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(("steps", "denoise"), [(1, 1.0), (2, 1.0), (9, 0.05), (200, 0.9)])
def test_sigmas_fall_and_end_at_zero(scheduler: str, sampler: str, steps: int, denoise: float):
    asked = settings(scheduler, steps, sampler=sampler, denoise=denoise)
    sigmas = sampler_sigmas(asked, model_sampling(scheduler, "epsilon"))
    assert sigmas[-1] == 0
    assert (sigmas.diff() <= 0).all()
    assert len(sigmas) >= 2


@pytest.mark.parametrize("scheduler", ["turbo", "align_your_steps"])
def test_samplers_run_normal_for_names_that_they_do_not_know(scheduler: str):
    tables = discrete_sampling()
    assert torch.equal(sampler_sigmas(settings(scheduler, 8), tables), scheduler_sigmas("normal", 8, tables))
    assert not torch.equal(named_sigmas(settings(scheduler, 8), tables), scheduler_sigmas("normal", 8, tables))


def test_ten_aligned_steps_are_the_published_ones():
    sdxl, sd15 = align_your_steps_sigmas(10, "sdxl"), align_your_steps_sigmas(10, "sd15")
    assert float(sdxl[1]) == pytest.approx(6.3184485287)
    assert float(sd15[1]) == pytest.approx(6.4745760956)
    assert sdxl[-1] == sd15[-1] == 0


def test_timesteps_of_thirty_karras_steps_are_those_of_the_specification():
    tables = discrete_sampling()
    timesteps = [tables.timestep(sigma) for sigma in scheduler_sigmas("karras", 30, tables).tolist()[:-1]]
    expected = (
        "999 975 949 923 894 863 830 795 757 716 672 624 572 517 458 397 334 273 214 162 117 80 53 33 20 11 6 3 1 0"
    )
    assert timesteps == [float(timestep) for timestep in expected.split()]  # sampling.md §2.4


def test_more_steps_than_table_entries_are_possible():
    assert len(ddim_uniform_sigmas(4000, discrete_sampling())) == 1000


@pytest.mark.parametrize("denoise", [0.0, -0.5, 1.5])
def test_a_strength_outside_zero_to_one_is_refused(denoise: float):
    with pytest.raises(ValueError, match=str(denoise)):
        sampler_sigmas(settings("karras", 10, denoise=denoise), discrete_sampling())


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="0"):
        sampler_sigmas(settings("karras", 0), discrete_sampling())


def test_two_halves_of_a_list_meet_at_the_switch():
    whole = torch.tensor([4.0, 3.0, 2.0, 1.0, 0.0])
    assert truncated(whole, start=0, last=2, full_denoise=False).tolist() == [4, 3, 2]
    assert truncated(whole, start=2, last=4, full_denoise=True).tolist() == [2, 1, 0]


def test_a_first_half_can_be_finished_at_once():
    whole = torch.tensor([4.0, 3.0, 2.0, 1.0, 0.0])
    assert truncated(whole, start=0, last=2, full_denoise=True).tolist() == [4, 3, 0]
    assert truncated(whole, start=0, last=9, full_denoise=True).tolist() == whole.tolist()


@pytest.mark.parametrize("start", [4, 5, 99])
def test_nothing_is_left_to_run_past_the_end(start: int):
    assert len(truncated(torch.tensor([4.0, 3.0, 2.0, 1.0, 0.0]), start=start, last=4, full_denoise=True)) == 0


def test_a_list_longer_than_the_steps_is_cut_at_a_sigma_that_becomes_zero():
    whole = scheduler_sigmas("ddim_uniform", 30, discrete_sampling())
    cut = truncated(whole, start=0, last=30, full_denoise=True)
    assert len(whole) == 32
    assert cut[-1] == 0
    assert torch.equal(cut[:-1], whole[:30])
