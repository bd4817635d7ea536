"""Weights, sums and repeated texts; whole texts are compared with the recordings in tests/golden."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fooocus_engine.conditioning.text import TextConditioner, apply_weights, encode_chunks
from fooocus_engine.conditioning.tokens import CHUNK, Chunk
from fooocus_engine.prompts.syntax import emphasis
from tests.models.tiny import tiny_model


def drawn(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)) + 0.5


def test_a_weight_of_one_changes_nothing():
    hidden = drawn(2, CHUNK, 8)
    assert torch.equal(apply_weights(hidden, drawn(1, CHUNK, 8), torch.ones(2, CHUNK)), hidden)


@given(st.floats(0.2, 2.0))
def test_the_mean_of_a_weighted_chunk_is_restored(weight):
    hidden = drawn(1, CHUNK, 8)
    weights = torch.ones(1, CHUNK)
    weights[0, 3:9] = weight
    weighted = apply_weights(hidden, drawn(1, CHUNK, 8) * 0.1, weights)
    assert torch.isclose(weighted.mean(), hidden.mean(), rtol=1e-4)  # float32, 616 values


@pytest.fixture
def conditioner():
    return TextConditioner(tiny_model().text, clip_skip=2, parse=emphasis, read_embedding=lambda name: None)


def test_pooled_vectors_are_summed_over_the_first_texts(conditioner):
    _, one = conditioner.encode(["red cat"], 1)
    _, two = conditioner.encode(["blue dog"], 1)
    cross_attention, pooled = conditioner.encode(["red cat", "blue dog", "tree"], 2)
    assert torch.allclose(pooled, one + two)
    assert cross_attention.shape == (1, 3 * CHUNK, 128)


def test_neutral_emphasis_is_no_emphasis(conditioner):
    assert torch.equal(conditioner.encode(["(cat:1.0)"], 1)[0], conditioner.encode(["cat"], 1)[0])


def test_embeddings_that_are_missing_make_one_warning_naming_each_once(conditioner):
    assert conditioner.warnings == []
    conditioner.encode(["embedding:b cat", "embedding:b embedding:a,"], 1)
    (warning,) = conditioner.warnings
    assert warning.endswith("left out of the prompt: embedding:a, embedding:b")


def test_a_long_name_of_a_missing_embedding_is_cut_in_the_warning(conditioner):
    conditioner.encode(["embedding:" + "x" * 10_000], 1)
    assert len(conditioner.warnings[0]) < 500


def test_a_row_of_the_wrong_width_is_replaced_by_padding_at_the_end():
    encoder = tiny_model().text.clip_l
    ids = [encoder.start_id, 520, encoder.end_id]
    short = Chunk((*ids, *[encoder.pad_id] * (CHUNK - 3)), (1.0,) * CHUNK)
    odd = replace(short, tokens=(ids[0], torch.ones(5), *ids[1:], *[encoder.pad_id] * (CHUNK - 4)))
    assert torch.equal(encode_chunks([odd], encoder, 2)[0], encode_chunks([short], encoder, 2)[0])
