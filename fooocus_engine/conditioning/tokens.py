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
    segments: Sequence[Segment], tokenize: Tokenize, find_embedding: FindEmbedding, ids: SpecialIds
) -> list[Chunk]:
    """The chunks of one text; an empty text gives one (prompt.md §12)."""
    return _pack(_groups(segments, tokenize, find_embedding), ids)


def _groups(segments: Sequence[Segment], tokenize: Tokenize, find_embedding: FindEmbedding) -> Iterator[list[Token]]:
    for text, weight in segments:
        for word in text.replace("\n", " ").split(" "):
            if word.startswith(EMBEDDING_PREFIX):
                yield from _embedding_groups(word, weight, tokenize, find_embedding)
            elif word:
                yield [(token, weight) for token in tokenize(word)]


def _embedding_groups(
    word: str, weight: float, tokenize: Tokenize, find_embedding: FindEmbedding
) -> Iterator[list[Token]]:
    """The rows of ``embedding:NAME``; a comma glued to the name becomes ordinary text behind it (prompt.md §13)."""
    name = word.removeprefix(EMBEDDING_PREFIX)
    rows, rest = find_embedding(name), ""
    if rows is None:
        stripped = name.strip(",")
        rest = name[len(stripped) :]
        rows = find_embedding(stripped) if len(stripped) < len(name) else None
    if rows is not None:
        yield [(row, weight) for row in rows]
    if rest:
        yield [(token, weight) for token in tokenize(rest)]


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
