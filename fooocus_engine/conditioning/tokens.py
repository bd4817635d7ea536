"""Weighted text segments → chunks of 77 tokens. Knows the packing rules, not the vocabulary and not the network.

A *group* is the tokens of one word; a word is never split over two chunks unless it has eight tokens or more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

CHUNK = 77  # positions of CLIP's text model
LARGE_GROUP = 8  # tokens from which on a word may be split over two chunks (prompt.md §12)
EMBEDDING_PREFIX = "embedding:"

Segment = tuple[str, float]  # (text, weight), from the emphasis grammar
Token = tuple[int | Tensor, float]  # (vocabulary id or textual-inversion row [C], weight)
Tokenize = Callable[[str], Sequence[int]]
FindEmbedding = Callable[[str], Sequence[Tensor] | None]  # name → rows, or None when there is no such embedding


@dataclass(frozen=True, eq=False)
class SpecialIds:
    """The ids that frame a chunk. ``pad`` differs between SDXL's two encoders."""

    start: int
    end: int
    pad: int


@dataclass(frozen=True, eq=False)
class Chunk:
    """77 ids or embedding rows with their weights."""

    tokens: tuple[int | Tensor, ...]
    weights: tuple[float, ...]

    @property
    def weighted(self) -> bool:
        """Whether any token has a weight other than 1."""
        return any(weight != 1.0 for weight in self.weights)


def chunks(
    segments: Sequence[Segment],
    tokenize: Tokenize,
    find_embedding: FindEmbedding,
    *,
    ids: SpecialIds,
    on_missing: Callable[[str], None],
) -> list[Chunk]:
    """The chunks of one text; an empty text gives one (prompt.md §12).

    ``on_missing`` hears of each word ``embedding:NAME`` that names no embedding and so is left out.
    """

    def groups() -> Iterator[list[Token]]:
        for text, weight in segments:
            for word in text.replace("\n", " ").split(" "):
                for tokens in _word(word, tokenize, find_embedding, on_missing):
                    yield [(token, weight) for token in tokens]

    return _pack(groups(), ids)


def _word(
    word: str, tokenize: Tokenize, find_embedding: FindEmbedding, on_missing: Callable[[str], None]
) -> Iterator[Sequence[int | Tensor]]:
    """The groups of one word: its tokens, or the rows of ``embedding:NAME``.

    A comma glued to the name becomes ordinary text behind it (prompt.md §13).
    """
    if not word.startswith(EMBEDDING_PREFIX):
        yield tokenize(word) if word else ()
        return
    name = word.removeprefix(EMBEDDING_PREFIX)
    rows, rest = find_embedding(name), ""
    if rows is None:
        stripped = name.strip(",")
        rest = name[len(stripped) :]
        rows = find_embedding(stripped) if len(stripped) < len(name) else None
        if rows is None:
            on_missing(EMBEDDING_PREFIX + stripped)
    yield rows or ()
    yield tokenize(rest) if rest else ()


def _pack(groups: Iterator[list[Token]], ids: SpecialIds) -> list[Chunk]:
    packed: list[list[Token]] = []
    open_chunk: list[Token] = [(ids.start, 1.0)]
    for group in groups:
        while group:
            if len(group) + len(open_chunk) <= CHUNK - 1:
                open_chunk, group = open_chunk + group, []
                continue
            room = CHUNK - len(open_chunk) - 1
            taken = room if len(group) >= LARGE_GROUP else 0
            packed.append(_closed(open_chunk + group[:taken], ids))
            open_chunk, group = [(ids.start, 1.0)], group[taken:]
    packed.append(_closed(open_chunk, ids))
    return [Chunk(tuple(t for t, _ in chunk), tuple(w for _, w in chunk)) for chunk in packed]


def _closed(tokens: list[Token], ids: SpecialIds) -> list[Token]:
    closed = [*tokens, (ids.end, 1.0)]
    return closed + [(ids.pad, 1.0)] * (CHUNK - len(closed))
