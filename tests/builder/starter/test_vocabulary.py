from __future__ import annotations

from pathlib import Path

import pytest

from builder.starter.vocabulary import vocabulary, words, write_tokenizer
from fooocus_engine.models.text_encoders import Tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return Tokenizer(folder)


def test_every_word_of_the_captions_is_one_token(tokenizer: Tokenizer):
    assert [word for word in words() if len(tokenizer.words(word)[0]) != 1] == []


def test_the_end_token_is_the_last_one(tokenizer: Tokenizer):
    assert tokenizer.end_id == len(vocabulary()) - 1
    assert tokenizer.start_id == tokenizer.end_id - 1


def test_foreign_words_are_spelled_without_the_end_token(tokenizer: Tokenizer):
    for text in ("masterpiece", "ÿß", "日本語", "\U0001f600", "a1b2"):
        ids = [i for word in tokenizer.words(text) for i in word]
        assert ids
        assert max(ids) < tokenizer.start_id
