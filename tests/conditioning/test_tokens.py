"""Packing of words into chunks, with a tokenizer that gives one id a letter."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from fooocus_engine.conditioning.tokens import CHUNK, SpecialIds, chunks

IDS = SpecialIds(start=1000, end=1001, pad=0)
ROWS = [torch.full((4,), 1.0), torch.full((4,), 2.0)]


def letters(word):
    return [ord(letter) for letter in word]


def nothing(name):
    return None


def packed(*segments, find=nothing, on_missing=lambda word: None):
    return chunks(segments, letters, find, ids=IDS, on_missing=on_missing)


def content(chunk):
    return [t for t in chunk.tokens if not (isinstance(t, int) and t in (IDS.start, IDS.end, IDS.pad))]


def test_an_empty_text_is_one_chunk_of_start_end_and_padding():
    (chunk,) = packed(("", 1.0))
    assert chunk.tokens == (IDS.start, IDS.end, *[IDS.pad] * 75)
    assert chunk.weights == (1.0,) * CHUNK
    assert not chunk.weighted


def test_75_one_letter_words_fill_one_chunk_and_the_76th_opens_another():
    assert len(packed((" ".join("a" * 75), 1.0))) == 1
    first, second = packed((" ".join("a" * 76), 1.0))
    assert (len(content(first)), len(content(second))) == (75, 1)


def test_a_long_word_is_split_over_two_chunks():
    first, second = packed((" ".join("a" * 70) + " " + "b" * 14, 1.0))  # prompt.md §12
    assert content(first)[70:] == [ord("b")] * 5
    assert content(second) == [ord("b")] * 9


def test_a_word_of_seven_tokens_moves_as_a_whole():
    first, second = packed((" ".join("a" * 70) + " " + "b" * 7, 1.0))
    assert (len(content(first)), len(content(second))) == (70, 7)


def test_weights_stay_with_their_tokens_and_special_ones_weigh_one():
    (chunk,) = packed(("a", 1.0), ("bc", 1.3))
    assert chunk.weights[:5] == (1.0, 1.0, 1.3, 1.3, 1.0)
    assert chunk.weighted


def test_blanks_and_line_ends_separate_words():
    (chunk,) = packed(("a\nb  c", 1.0))
    assert content(chunk) == letters("abc")


def test_an_embedding_becomes_its_rows():
    (chunk,) = packed(("embedding:x a", 1.4), find={"x": ROWS}.get)
    assert chunk.tokens[1] is ROWS[0]
    assert chunk.tokens[2] is ROWS[1]
    assert chunk.weights[1:4] == (1.4, 1.4, 1.4)


def test_a_comma_behind_an_embedding_is_text():
    (chunk,) = packed(("embedding:x, a", 1.0), find={"x": ROWS}.get)
    assert chunk.tokens[3:5] == (ord(","), ord("a"))


def test_a_missing_embedding_leaves_nothing_but_its_comma():
    (chunk,) = packed(("embedding:y, a", 1.0))
    assert content(chunk) == letters(",a")


def test_only_embeddings_that_are_found_under_neither_name_are_reported():
    missing = []
    packed(("embedding:x, embedding:y,, a embedding:z", 1.0), find={"x": ROWS}.get, on_missing=missing.append)
    assert missing == ["embedding:y", "embedding:z"]


@given(st.lists(st.integers(1, 30), max_size=40))
def test_no_token_is_lost_and_every_chunk_is_whole(lengths):
    parts = packed((" ".join("a" * length for length in lengths), 1.0))
    assert sum(len(content(part)) for part in parts) == sum(lengths)
    assert all(len(part.tokens) == len(part.weights) == CHUNK for part in parts)
    assert all(part.tokens[0] == IDS.start and IDS.end in part.tokens for part in parts)
