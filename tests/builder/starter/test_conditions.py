from __future__ import annotations

import torch

from builder.starter.conditions import Conditions, empty_text
from builder.starter.distillation import GUIDANCE, clean, guided
from builder.starter.model import Networks, Words, new_tokenizer

HALF = 0.05  # bfloat16, amplified by sigma 2 and by the guidance


def test_guidance_moves_from_the_empty_text_through_the_text_and_beyond():
    torch.manual_seed(0)
    networks = Networks(new_tokenizer()).eval().requires_grad_(False)
    words = Words(networks.clip_l.tokenizer)
    chunks = [words.ids("two yellow stars at night"), words.ids("epic")]
    sizes = torch.tensor([[64.0, 64, 0, 0, 64, 64]])
    asked = Conditions(*networks.text([chunks]), sizes)
    empty = empty_text(networks)
    assert asked.without_text(empty).context.shape == asked.context.shape
    assert torch.equal(asked.without_text(empty).sizes, sizes)
    x, sigma, timesteps = 2 * torch.randn(1, 4, 8, 8), torch.tensor([2.0]), torch.tensor([560.0])
    with_text, without = (clean(networks.unet, c, x, sigma, timesteps) for c in (asked, asked.without_text(empty)))
    wanted = without + GUIDANCE * (with_text - without)
    made = guided(networks.unet, asked, empty)(x, sigma, timesteps)
    assert torch.allclose(made, wanted, atol=HALF)
    assert not torch.allclose(made, with_text, atol=HALF)
