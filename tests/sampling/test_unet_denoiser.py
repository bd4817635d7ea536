from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
import torch

from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.image_attention import ImagePrompt, KeysValues, cross_attentions, layer_widths
from fooocus_engine.sampling.model_sampling import discrete_sampling
from fooocus_engine.sampling.schedules import scheduler_sigmas
from fooocus_engine.sampling.unet_denoiser import Stage, UNetDenoiser, is_early, progress
from fooocus_engine.types import Conditioning, Residuals, UNetCall
from tests.golden.compare import tensor_error
from tests.models.tiny import group
from tests.sampling.stages import fake_model, fake_stage, recorded_stage, text

X = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
TABLES = discrete_sampling()


def calls_of(stage: Stage, sigma: float = 3.0, *, with_negative: bool = True):
    UNetDenoiser(stage, TABLES, with_negative=with_negative)(X, sigma)
    return stage.model.unet.calls


@pytest.mark.parametrize("number", range(4))
def test_both_estimates_are_those_of_the_reference(number: int):
    record = group("C_guidance").record(f"unet_step/{number}")
    asked = record.settings
    adm = {
        "adm_positive": asked["positive_adm_scale"],
        "adm_negative": asked["negative_adm_scale"],
        "adm_end": asked["adm_scaler_end"],
    }
    texts = {name: record.input(name) for name in ("cond", "cond_pooled", "uncond", "uncond_pooled")}
    stage = recorded_stage(adm, texts, (asked["width"], asked["height"]))
    found = UNetDenoiser(stage, TABLES, with_negative=True)(record.input("x"), asked["sigma"])
    for actual, name in ((found.positive, "positive_x0"), (found.negative, "negative_x0")):
        assert tensor_error(actual, record.output(name), absolute=1e-5, relative=1e-5) <= 1


def test_both_texts_go_in_one_call_with_the_negative_first():
    (call,) = calls_of(fake_stage())
    assert call["encoder_hidden_states"][:, 0, 0].tolist() == [-1, 1]
    assert call["added_cond_kwargs"]["text_embeds"][:, 0].tolist() == [-1, 1]
    assert torch.equal(call["x"][0], call["x"][1])


@pytest.mark.parametrize(("positive", "negative", "length"), [(2, 1, 2), (2, 3, 6), (4, 1, 4), (5, 5, 5)])
def test_texts_of_different_length_are_repeated_to_a_common_one(positive: int, negative: int, length: int):
    (call,) = calls_of(fake_stage(positive=positive, negative=negative))
    assert call["encoder_hidden_states"].shape == (2, 77 * length, 8)


@pytest.mark.parametrize(("positive", "negative"), [(5, 1), (5, 3), (1, 7)])
def test_texts_that_would_be_repeated_too_often_go_in_two_calls(positive: int, negative: int):
    first, second = calls_of(fake_stage(positive=positive, negative=negative))
    assert first["encoder_hidden_states"].shape == (1, 77 * negative, 8)
    assert second["encoder_hidden_states"].shape == (1, 77 * positive, 8)


def test_one_call_and_two_give_the_same_estimates():
    record = group("C_guidance").record("unet_step/1")
    texts = {name: record.input(name) for name in ("cond", "cond_pooled", "uncond", "uncond_pooled")}
    stage = recorded_stage({"adm_positive": 1.5, "adm_negative": 0.8, "adm_end": 0.3}, texts, (128, 192))
    longer = replace(stage.positive, cross_attention=stage.positive.cross_attention.repeat(1, 5, 1))
    together = UNetDenoiser(stage, TABLES, with_negative=True)(record.input("x"), 3.0)
    apart = UNetDenoiser(replace(stage, positive=longer), TABLES, with_negative=True)(record.input("x"), 3.0)
    assert torch.allclose(together.positive, apart.positive, atol=1e-4)
    assert torch.allclose(together.negative, apart.negative, atol=1e-4)


def test_without_the_negative_only_the_positive_text_is_asked():
    stage = fake_stage()
    estimates = UNetDenoiser(stage, TABLES, with_negative=False)(X, 3.0)
    assert estimates.negative is None
    assert stage.model.unet.calls[0]["encoder_hidden_states"][:, 0, 0].tolist() == [1]


@pytest.mark.parametrize(("timestep", "expected"), [(999, [99, 101]), (700, [99, 101]), (699, [199, 201])])
def test_size_numbers_change_at_their_share_of_the_schedule(timestep: int, expected: list[float]):
    (call,) = calls_of(fake_stage(), float(TABLES.sigmas[timestep]))
    assert call["timestep"].tolist() == [timestep, timestep]
    assert call["added_cond_kwargs"]["time_ids"][:, 0].tolist() == expected


@pytest.mark.parametrize("record", ["timed_adm/0.3", "timed_adm/0.0", "timed_adm/1.0", "timed_adm/0.5"])
def test_the_change_of_size_numbers_is_that_of_the_reference(record: str):
    found = group("C_guidance").record(record)
    early, late = found.input("y").chunk(2, dim=1)
    for row, timestep in enumerate(found.input("timesteps").tolist()):
        expected = early[row] if is_early(timestep, found.settings["adm_scaler_end"]) else late[row]
        assert torch.equal(found.output("y")[row], expected)


def test_a_family_without_pooled_text_is_told_nothing_more():
    bare = Conditioning(torch.zeros(1, 77, 8))
    (call,) = calls_of(Stage(fake_model("sd15"), bare, bare))
    assert call["added_cond_kwargs"] is None


def test_only_the_network_sees_half_precision():
    stage = fake_stage(fake_model(dtype=torch.float16))
    estimates = UNetDenoiser(stage, TABLES, with_negative=True)(X, 3.0)
    (call,) = stage.model.unet.calls
    assert call["x"].dtype == call["encoder_hidden_states"].dtype == torch.float16
    assert call["added_cond_kwargs"]["time_ids"].dtype == torch.float32
    assert estimates.positive.dtype == torch.float32


def test_what_stays_the_same_is_prepared_once():
    stage = fake_stage(positive=3)
    denoiser = UNetDenoiser(stage, TABLES, with_negative=True)
    denoiser(X, 3.0)
    denoiser(X, 2.9)
    first, second = stage.model.unet.calls
    assert first["encoder_hidden_states"] is second["encoder_hidden_states"]
    assert first["added_cond_kwargs"]["time_ids"] is second["added_cond_kwargs"]["time_ids"]


def test_progress_runs_from_zero_to_one_with_the_rounding_of_the_dtype():
    assert progress(999, torch.float32) == 0
    assert progress(0, torch.float16) == 1
    assert progress(700, torch.float16) == float(1 - torch.tensor(700, dtype=torch.float16) / 999)
    assert progress(700, torch.float16) != progress(700, torch.float32)


def test_texts_are_left_alone():
    stage = Stage(fake_model(), text(2), text(1))
    before = stage.positive.cross_attention.clone()
    calls_of(stage)
    assert torch.equal(stage.positive.cross_attention, before)


@dataclass
class FakeControl:
    """Says ``value`` everywhere, and remembers what it was told."""

    value: float
    stop: float = 1.0
    calls: list[UNetCall] = field(default_factory=list)

    def residuals(self, call: UNetCall) -> Residuals:
        self.calls.append(call)
        return Residuals(
            (torch.full((1,), self.value), torch.full((1,), 2 * self.value)), torch.full((1,), -self.value)
        )


def controlled_stage(*controls: FakeControl, positive: int = 1) -> Stage:
    stage = fake_stage(positive=positive)
    return replace(
        stage,
        positive=replace(stage.positive, controls=controls),
        negative=replace(stage.negative, controls=controls),
    )


def test_without_controls_nothing_is_added_inside_the_unet():
    (call,) = calls_of(fake_stage())
    assert call["down_block_additional_residuals"] is call["mid_block_additional_residual"] is None


def test_what_several_controls_say_is_added_up():
    (call,) = calls_of(controlled_stage(FakeControl(1.0), FakeControl(0.25)))
    assert [float(skip) for skip in call["down_block_additional_residuals"]] == [1.25, 2.5]
    assert float(call["mid_block_additional_residual"]) == -1.25


def test_a_control_is_told_what_the_unet_is_told():
    control = FakeControl(1.0)
    (call,) = calls_of(controlled_stage(control))
    (told,) = control.calls
    assert torch.equal(told.x, call["x"])
    assert told.timesteps is call["timestep"]
    assert told.cross_attention is call["encoder_hidden_states"]
    assert told.added == call["added_cond_kwargs"]


def test_texts_that_go_in_two_calls_are_both_controlled():
    first, second = calls_of(controlled_stage(FakeControl(1.0), positive=5))
    assert float(first["mid_block_additional_residual"]) == float(second["mid_block_additional_residual"]) == -1


@pytest.mark.parametrize(
    ("stop", "last"),  # image-control.md §3: noise levels at which a control falls silent
    [(0.25, 4.0861), (0.3, 3.3251), (0.5, 1.6156), (0.6, 1.1629), (0.75, 0.6952), (0.9, 0.3437)],
)
def test_a_control_speaks_down_to_the_noise_level_of_its_stop(stop: float, last: float):
    control = FakeControl(1.0, stop)
    stage = controlled_stage(control)
    calls = [*calls_of(stage, last + 1e-3), *calls_of(stage, last - 1e-3)]
    assert len(control.calls) == 1
    assert calls[-1]["down_block_additional_residuals"] is None


@pytest.mark.parametrize(("stop", "spoken"), [(0.0, 0), (-1.0, 0), (1.0, 1), (2.0, 1)])
def test_a_stop_at_the_ends_means_never_or_always(stop: float, spoken: int):
    control = FakeControl(1.0, stop)
    calls_of(controlled_stage(control), float(TABLES.sigmas[-1 if spoken == 0 else 0]))
    assert len(control.calls) == spoken


@pytest.mark.parametrize(("stop", "steps"), [(0.25, 9), (0.3, 10), (0.5, 14), (0.6, 15), (0.75, 18), (0.9, 21)])
def test_of_thirty_karras_steps_the_written_number_is_controlled(stop: float, steps: int):
    control = FakeControl(1.0, stop)
    denoiser = UNetDenoiser(controlled_stage(control), TABLES, with_negative=True)
    for sigma in scheduler_sigmas("karras", 30, TABLES)[:-1].tolist():
        denoiser(X, sigma)
    assert len(control.calls) == steps


def small_prompt(model: DiffusionModel, *, stop: float, separate: bool = False) -> ImagePrompt:
    generator = torch.Generator().manual_seed(5)

    def half() -> KeysValues:
        pairs = (torch.randn(2, 1, 2, width, generator=generator) for width in layer_widths(model.unet))
        return tuple((k, v) for k, v in pairs)

    return ImagePrompt(half(), half(), weight=1.0, stop=stop, separate=separate)


def recorded(number: int = 1) -> Stage:
    record = group("C_guidance").record(f"unet_step/{number}")
    texts = {name: record.input(name) for name in ("cond", "cond_pooled", "uncond", "uncond_pooled")}
    return recorded_stage({"adm_positive": 1.5, "adm_negative": 0.8, "adm_end": 0.3}, texts, (128, 192))


def test_image_prompts_stop_after_as_many_steps_as_in_the_reference():
    stage = recorded()
    prompts = tuple(small_prompt(stage.model, stop=stop) for stop in (0.5, 0.6, 0.9, 0.0))
    denoise = UNetDenoiser(replace(stage, image_prompts=prompts), TABLES, with_negative=False)
    first, active = cross_attentions(stage.model.unet)[0], []
    hook = stage.model.unet.conv_in.register_forward_pre_hook(lambda *_: active.append(len(first.to_k._forward_hooks)))
    try:
        for sigma in scheduler_sigmas("karras", 30, TABLES)[:-1].tolist():
            denoise(X, sigma)
    finally:
        hook.remove()
    # image-control.md §4.4: 14, 15 and 21 of 30 Karras steps; a stop of 0 never begins
    assert active == [3] * 14 + [2] * 1 + [1] * 6 + [0] * 9


@pytest.mark.parametrize("separate", [False, True])
def test_image_prompts_steer_both_halves_in_one_call_as_in_two(separate: bool):
    stage = recorded()
    # As long as each other: a shorter text is repeated in a call of two, and then has more of the softmax.
    longer = stage.negative.cross_attention.repeat(1, stage.positive.cross_attention.shape[1] // 77, 1)
    stage = replace(
        stage,
        negative=replace(stage.negative, cross_attention=longer),
        image_prompts=(small_prompt(stage.model, stop=1.0, separate=separate),),
    )
    both = UNetDenoiser(stage, TABLES, with_negative=True)(X, 3.0)
    alone = UNetDenoiser(stage, TABLES, with_negative=False)(X, 3.0)
    turned = replace(stage, positive=stage.negative, image_prompts=tuple(map(turned_round, stage.image_prompts)))
    negative = UNetDenoiser(turned, TABLES, with_negative=False)(X, 3.0)
    plain = UNetDenoiser(replace(stage, image_prompts=()), TABLES, with_negative=True)(X, 3.0)
    assert both.negative is not None and plain.negative is not None
    assert torch.allclose(both.positive, alone.positive, atol=1e-4)
    assert torch.allclose(both.negative, negative.positive, atol=1e-4)
    assert not torch.allclose(both.positive, plain.positive, atol=1e-2)
    assert not torch.allclose(both.negative, plain.negative, atol=1e-2)


def turned_round(prompt: ImagePrompt) -> ImagePrompt:
    return replace(prompt, positive=prompt.negative, negative=prompt.positive)


def test_after_a_call_the_unet_is_as_before():
    stage = recorded()
    plain = UNetDenoiser(stage, TABLES, with_negative=True)(X, 3.0)
    steered = replace(stage, image_prompts=(small_prompt(stage.model, stop=1.0),))
    UNetDenoiser(steered, TABLES, with_negative=True)(X, 3.0)
    assert torch.equal(UNetDenoiser(stage, TABLES, with_negative=True)(X, 3.0).positive, plain.positive)
