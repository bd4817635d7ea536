"""The starter model's networks, untrained: how texts of several chunks are told."""

from __future__ import annotations

import torch

from builder.starter.model import CHUNK, Networks, Words, new_tokenizer


@torch.no_grad()
def test_chunks_of_a_text_follow_one_another_and_the_first_one_is_pooled():
    torch.manual_seed(0)
    networks = Networks(new_tokenizer())
    words = Words(networks.clip_l.tokenizer)
    star, ring, night, sea = (words.ids(text) for text in ("a star", "two rings", "at night", "at sea"))
    context, pooled = networks.text([[star, night], [ring, sea]])
    first, pooled_first = networks.text([[star], [ring]])
    second, _ = networks.text([[night], [sea]])
    assert torch.allclose(pooled, pooled_first, atol=1e-5)  # float32, in batches of other sizes
    assert torch.allclose(context[:, :CHUNK], first, atol=1e-5)
    assert torch.allclose(context[:, CHUNK:], second, atol=1e-5)
