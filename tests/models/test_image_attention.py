"""Image prompts in the attention: the formulas by hand, recorded estimates, and no trace afterwards."""

from __future__ import annotations

import math

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.image_attention import (
    Among,
    Beside,
    ImagePrompt,
    KeysValues,
    cross_attentions,
    layer_widths,
    looking_at,
    weighted,
)
from tests.models.one_step import error, estimates, tiny_model

TOLERANCE = 1e-5  # float32; a few hundred summands in a layer


@pytest.fixture(scope="module")
def model() -> DiffusionModel:
    return tiny_model()


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def keys_values(model: DiffusionModel, tokens: int = 3, seed: int = 0) -> KeysValues:
    widths = enumerate(layer_widths(model.unet))
    return tuple(
        (drawn(1, tokens, w, seed=seed + 2 * n), drawn(1, tokens, w, seed=seed + 2 * n + 1)) for n, w in widths
    )


def by_hand(attention, x: Tensor, text: Tensor, more: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Before the output projection: one softmax over the text's keys and ``more``."""
    q, k, v = attention.to_q(x), attention.to_k(text), attention.to_v(text)
    k, v = torch.cat([k, *(pair[0] for pair in more)], 1), torch.cat([v, *(pair[1] for pair in more)], 1)
    size = q.shape[-1] // attention.heads
    rows = []
    for head in range(attention.heads):
        part = slice(head * size, (head + 1) * size)
        weights = (q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(size)).softmax(-1)
        rows.append(weights @ v[..., part])
    return torch.cat(rows, -1)


@pytest.mark.parametrize("plain", [True, False], ids=["plain products", "fused kernel"])
@torch.no_grad()
def test_image_tokens_share_one_softmax_with_the_text(plain: bool):
    model = tiny_model()
    if plain:
        model.unet.set_attn_processor(AttnProcessor())
    first, second = keys_values(model, 3, seed=1), keys_values(model, 2, seed=50)
    for number, attention in enumerate(cross_attentions(model.unet)):
        x, text = drawn(1, 6, attention.to_q.in_features), drawn(1, 77, attention.to_k.in_features, seed=9)
        expected = attention.to_out[0](by_hand(attention, x, text, [first[number], second[number]]))
        with looking_at(model.unet, [Among(first), Among(second)]):
            found = attention(x, encoder_hidden_states=text)
        torch.testing.assert_close(found, expected, rtol=TOLERANCE, atol=TOLERANCE)


@torch.no_grad()
def test_beside_the_text_stands_an_attention_of_its_own(model: DiffusionModel):
    layers = keys_values(model)
    attention, (k, v) = cross_attentions(model.unet)[0], layers[0]
    x, text = drawn(1, 6, attention.to_q.in_features), drawn(1, 77, attention.to_k.in_features, seed=9)
    size = k.shape[-1] // attention.heads
    parts = [slice(head * size, (head + 1) * size) for head in range(attention.heads)]
    q = attention.to_q(x)
    alone = [(q[..., p] @ k[..., p].transpose(1, 2) / math.sqrt(size)).softmax(-1) @ v[..., p] for p in parts]
    expected = attention.to_out[0](by_hand(attention, x, text, []) + 0.7 * torch.cat(alone, -1))
    with looking_at(model.unet, [Beside(layers, 0.7)]):
        torch.testing.assert_close(attention(x, encoder_hidden_states=text), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_the_weighting_worked_by_hand():
    # C = 640: half weight. Values of two tokens: mean 2, deviations -1 and 1; w = 1.5 * 0.5 = 0.75.
    k, v = torch.ones(1, 2, 640), torch.tensor([1.0, 3.0])[None, :, None].expand(1, 2, 640)
    ((weighted_k, weighted_v),) = weighted(((k, v),), 1.5)
    assert torch.equal(weighted_k, torch.full((1, 2, 640), 0.75))
    assert weighted_v[0, :, 0].tolist() == [-1 + 0.75 * 2, 1 + 0.75 * 2]


def test_layers_come_in_the_order_of_the_files(model: DiffusionModel):
    # Down, up, middle; the recorded channel list of the tiny adapter names each layer twice (key and value).
    assert layer_widths(model.unet) == [64] * 2 + [128] * 10 + [64] * 3 + [128] * 2


def test_rows_of_a_call_get_the_half_they_belong_to(model: DiffusionModel):
    positive, negative = keys_values(model, seed=1), keys_values(model, seed=70)
    prompt = ImagePrompt(positive, negative, weight=0.8, stop=1.0)
    both = prompt.rows(["negative", "positive"])
    expected = [weighted(half, 0.8)[0] for half in (negative, positive)]
    assert isinstance(both, Among)
    assert torch.equal(both.layers[0][0], torch.cat([k for k, _ in expected]))
    assert torch.equal(both.layers[0][1], torch.cat([v for _, v in expected]))


def test_the_other_arithmetic_leaves_keys_and_values_as_they_are(model: DiffusionModel):
    layers = keys_values(model)
    looked = ImagePrompt(layers, layers, weight=0.8, stop=1.0, separate=True).rows(["positive"])
    assert isinstance(looked, Beside)
    assert looked.scale == 0.8
    assert torch.equal(looked.layers[3][0], layers[3][0])


def test_a_prompt_is_looked_at_before_its_stop_only(model: DiffusionModel):
    layers = keys_values(model)
    prompt = ImagePrompt(layers, layers, weight=1.0, stop=0.5)
    assert prompt.is_active(0.499)
    assert not prompt.is_active(0.5)
    assert not ImagePrompt(layers, layers, weight=1.0, stop=0.0).is_active(0.0)


@pytest.mark.parametrize("separate", [False, True])
def test_pictures_change_the_estimates_and_leave_no_trace(separate: bool, model: DiffusionModel):
    plain, _ = estimates(model, 3.0)
    prompt = ImagePrompt(keys_values(model), keys_values(model), 1.0, 1.0, separate).rows(["positive"])
    with looking_at(model.unet, [prompt]):
        changed, _ = estimates(model, 3.0)
    assert error(changed, plain) > 1e-3
    assert torch.equal(estimates(model, 3.0)[0], plain)


def test_no_picture_changes_nothing(model: DiffusionModel):
    plain, _ = estimates(model, 3.0)
    with looking_at(model.unet, []):
        assert torch.equal(estimates(model, 3.0)[0], plain)


def test_a_scale_of_zero_beside_the_text_changes_nothing(model: DiffusionModel):
    plain, _ = estimates(model, 3.0)
    with looking_at(model.unet, [Beside(keys_values(model), 0.0)]):
        assert torch.equal(estimates(model, 3.0)[0], plain)


@pytest.mark.parametrize("kind", [Among, lambda layers: Beside(layers, 1.0)], ids=["among", "beside"])
def test_an_error_inside_removes_every_hook(kind, model: DiffusionModel):
    with pytest.raises(RuntimeError, match="inside"), looking_at(model.unet, [kind(keys_values(model))]):
        raise RuntimeError("inside")
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.unet.modules())


def test_keys_for_another_number_of_layers_are_refused_before_anything_is_changed(model: DiffusionModel):
    with (
        pytest.raises(ValueError, match="1 attention layers; there are 17"),
        looking_at(model.unet, [Among(keys_values(model)[:1])]),
    ):
        pass
    assert not any(module._forward_hooks for module in model.unet.modules())
