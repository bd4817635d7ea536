"""Captions: the published names are read as the library's, preparation, and the same words for the same pixels."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image

from fooocus_engine.errors import BadModelFile, ModelUnavailable
from fooocus_engine.vision.caption import Captioner, prepared, seed_of
from fooocus_engine.vision.pixels import CLIP_DEVIATION as DEVIATION
from fooocus_engine.vision.pixels import CLIP_MEAN as MEAN
from tests.pictures import plain, textured
from tests.vision.tiny_networks import WORDS, captioner

FILE, VOCABULARY = "clip_vision/model_base_caption_capfilt_large.pth", "bert_tokenizer/vocab.txt"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def loaded(models) -> Captioner:
    return Captioner.load(models / FILE, models / VOCABULARY, CPU)


def test_every_weight_finds_its_place(loaded):
    expected = captioner().state_dict()
    found = loaded.network.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    buffers = dict(loaded.network.named_buffers())
    assert not any(buffer.is_meta for buffer in buffers.values())
    assert loaded.network.config.text_config.bos_token_id == WORDS


def test_the_prompt_is_a_begin_mark_and_three_words(loaded):
    assert loaded.vocabulary.encode("a picture of ").ids == [101, 1037, 1038, 1039, 102]


def test_a_picture_is_pressed_into_a_square_without_smoothing():
    pixels = np.zeros((64, 128, 3), np.uint8)
    pixels[::2] = 255  # every other row: smoothed they would all be grey
    values = prepared(Image.fromarray(pixels), 32)
    shown = values[0] * torch.tensor(DEVIATION)[:, None, None] + torch.tensor(MEAN)[:, None, None]
    assert values.shape == (1, 3, 32, 32)
    assert float(shown.std()) < 0.2 and float(shown.mean()) == pytest.approx(0.5, abs=0.05)
    flat = prepared(plain((50, 20), (255, 0, 51)), 8)[0, :, 0, 0]
    assert flat.tolist() == pytest.approx([(v - m) / d for v, m, d in zip((1, 0, 0.2), MEAN, DEVIATION, strict=True)])


def test_the_seed_is_the_head_of_the_pixels_hash():
    image = textured((6, 4))
    digest = hashlib.sha256(np.asarray(image).tobytes()).digest()
    assert seed_of(image) == int.from_bytes(digest[:8], "little") % 2**63


def test_one_picture_gives_one_caption_and_moves_no_other_random_state(loaded):
    torch.manual_seed(5)
    first = loaded.describe(textured((40, 30)))
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1))
    assert first == loaded.describe(textured((40, 30)))
    assert {loaded.describe(textured((40, 30), seed)) for seed in range(4)} != {first}


def test_a_caption_lacks_the_prompt_and_has_a_least_length(loaded):
    made = loaded.describe(textured((40, 30)))
    assert made and not made.startswith("a picture of")
    assert "[SEP]" not in made and "[PAD]" not in made


def test_a_missing_file_and_a_missing_vocabulary_are_named(models, tmp_path):
    with pytest.raises(ModelUnavailable, match=r"'none\.pth'"):
        Captioner.load(tmp_path / "none.pth", models / VOCABULARY, CPU)
    with pytest.raises(ModelUnavailable, match=r"'vocab\.txt'"):
        Captioner.load(models / FILE, tmp_path / "vocab.txt", CPU)


def test_what_does_not_fit_is_refused(models, tmp_path):
    torch.save({"model": {"other": torch.zeros(1)}}, tmp_path / "other.pth")
    with pytest.raises(BadModelFile, match=r"other\.pth: the captioner lacks"):
        Captioner.load(tmp_path / "other.pth", models / VOCABULARY, CPU)
    (tmp_path / "short.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n")
    with pytest.raises(BadModelFile, match="its vocabulary 4"):
        Captioner.load(models / FILE, tmp_path / "short.txt", CPU)
    (tmp_path / "words.txt").write_text("one\ntwo\n")
    with pytest.raises(BadModelFile, match=r"words\.txt"):
        Captioner.load(models / FILE, tmp_path / "words.txt", CPU)
