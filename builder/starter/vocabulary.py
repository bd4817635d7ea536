"""The starter model's CLIP tokenizer: every word of its captions is one token, any other is spelled by its letters.

Written as ``vocab.json`` and ``merges.txt``. All 512 byte tokens are in it, so that no text needs an unknown token.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from builder.starter import captions, world

START = "<|startoftext|>"
END = "<|endoftext|>"
END_OF_WORD = "</w>"
OTHER_WORDS = ("a", "an", "one", "and", "next", "to", "with", "plain", "grey", "background", "of", "the", ",", ".")
COMMON_PAIRS = ("th", "in", "er", "an", "on", "re", "st", "en", "at", "or", "es", "al", "ar", "ing", "ed", "ly", "tion")
"""Pieces of foreign words, so that a long one does not take a chunk of its own."""


def words() -> list[str]:
    """All words that captions are made of, each once, in a fixed order."""
    told: list[Iterable[str]] = [
        world.COLOURS,
        world.SHAPES,
        world.BACKGROUNDS,
        (captions.PLURALS.get(shape, shape + "s") for shape in world.SHAPES),
        *(
            itertools.chain.from_iterable(said.values())
            for said in (
                captions.NUMBERS,
                captions.SIZE_WORDS,
                captions.FILL_WORDS,
                captions.PLACE_WORDS,
                captions.RELATION_WORDS,
                captions.SCENE_WORDS,
            )
        ),
        captions.OPENINGS,
        OTHER_WORDS,
    ]
    pieces = itertools.chain.from_iterable(phrase.split() for phrase in itertools.chain.from_iterable(told))
    return list(dict.fromkeys(pieces))


def byte_symbols() -> list[str]:
    """The 256 printable stand-ins of bytes, in CLIP's order (environment.md §5.1)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(code) for code in printable] + [chr(256 + k) for k in range(256 - len(printable))]


def merges() -> list[tuple[str, str]]:
    """Pairs to join, in order of rank: whole words first, so that no common piece cuts one of them apart."""
    pairs: dict[tuple[str, str], None] = {}
    for word in words():
        pairs.update(dict.fromkeys(_chain(word)))
    for piece in COMMON_PAIRS:
        pairs.update(dict.fromkeys(_chain(piece)[:-1]))
    return list(pairs)


def _chain(word: str) -> list[tuple[str, str]]:
    """Joins that build ``word`` from its end: the last letter carries the end mark, so no chain can cut another."""
    symbols = [*word[:-1], word[-1] + END_OF_WORD]
    joins = []
    while len(symbols) > 1:
        joins.append((symbols[-2], symbols[-1]))
        symbols[-2:] = ["".join(symbols[-2:])]
    return joins


def vocabulary() -> dict[str, int]:
    """Token → id; start and end are the last two, as in CLIP."""
    symbols = byte_symbols()
    tokens: Iterator[str] = itertools.chain(
        symbols,
        (symbol + END_OF_WORD for symbol in symbols),
        ("".join(pair) for pair in merges()),
        (START, END),
    )
    return {token: index for index, token in enumerate(dict.fromkeys(tokens))}


def write_tokenizer(folder: Path) -> None:
    """Write the tokenizer's files into ``folder``, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary(), ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges())]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
