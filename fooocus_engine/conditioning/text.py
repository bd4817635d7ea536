"""Texts → cross-attention and pooled tensors: runs both encoders over 77-token chunks and applies the weights.

Takes texts already split into (segment, weight) by the emphasis grammar. Knows nothing of styles, sizes or the UNet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from fooocus_engine.conditioning.embeddings import embedding_rows
from fooocus_engine.conditioning.tokens import CHUNK, Chunk, Segment, SpecialIds, chunks
from fooocus_engine.errors import shortened
from fooocus_engine.models.text_encoders import ClipEncoder, TextEncoders
from fooocus_engine.models.weights import listed

ReadEmbedding = Callable[[str], Any]  # name → content of its file, or None


class TextConditioner:
    """Encodes the texts of one request; a text that comes twice is encoded once.

    ``parse`` splits a text into weighted segments, ``read_embedding`` finds textual-inversion files by name.
    """

    def __init__(
        self,
        encoders: TextEncoders,
        *,
        clip_skip: int,
        parse: Callable[[str], Sequence[Segment]],
        read_embedding: ReadEmbedding,
    ) -> None:
        self._encoders = encoders
        self._clip_skip = clip_skip
        self._parse = parse
        self._read_embedding = read_embedding
        self._cache: dict[str, tuple[Tensor, Tensor]] = {}
        self._missing: set[str] = set()

    @property
    def warnings(self) -> list[str]:
        """What the texts encoded so far asked for in vain, for the client."""
        if not self._missing:
            return []
        return [f"not installed and left out of the prompt: {listed(shortened(word) for word in self._missing)}"]

    def encode(self, texts: Sequence[str], pooled_top_k: int) -> tuple[Tensor, Tensor]:
        """Cross-attention ``[1, 77·k, C_l + C_g]`` of all texts and the **sum** of the first pooled vectors ``[1, P]``.

        float32, on the encoders' device (prompt.md §16).
        """
        encoded = [self._encode_text(text) for text in texts]
        pooled = torch.stack([pooled for _, pooled in encoded[:pooled_top_k]]).sum(dim=0)
        return torch.cat([hidden for hidden, _ in encoded], dim=1), pooled

    def _encode_text(self, text: str) -> tuple[Tensor, Tensor]:
        if text not in self._cache:
            segments = self._parse(text)
            hidden_l, _ = self._encode_with("clip_l", self._encoders.clip_l, segments)
            hidden_g, pooled = self._encode_with("clip_g", self._encoders.clip_g, segments)
            self._cache[text] = torch.cat([hidden_l, hidden_g], dim=-1), pooled
        return self._cache[text]

    def _encode_with(
        self, name: str, encoder: ClipEncoder | None, segments: Sequence[Segment]
    ) -> tuple[Tensor, Tensor]:
        if encoder is None:
            raise ValueError(f"the base model has no {name} text encoder")
        return encode_chunks(self.chunks(name, encoder, segments), encoder, self._clip_skip)

    def chunks(self, name: str, encoder: ClipEncoder, segments: Sequence[Segment]) -> list[Chunk]:
        """The chunks that ``encoder`` (``clip_l`` or ``clip_g``) sees for weighted segments."""

        def find_embedding(wanted: str) -> list[Tensor] | None:
            content = self._read_embedding(wanted)
            return None if content is None else embedding_rows(content, name, encoder.width)

        def tokenize(word: str) -> list[int]:
            return [token for tokens in encoder.words(word) for token in tokens]

        return chunks(segments, tokenize, find_embedding, ids=special_ids(encoder), on_missing=self._missing.add)


def special_ids(encoder: ClipEncoder) -> SpecialIds:
    """The start, end and padding ids of an encoder."""
    return SpecialIds(encoder.start_id, encoder.end_id, encoder.pad_id)


def encode_chunks(parts: Sequence[Chunk], encoder: ClipEncoder, clip_skip: int) -> tuple[Tensor, Tensor]:
    """Hidden states ``[1, 77·k, C]`` of the chunks, weights applied, and the first chunk's pooled ``[1, P]``.

    All chunks run as one batch, with the empty text behind them when any weight differs from 1 (prompt.md §15).
    """
    weighted = any(part.weighted for part in parts)
    ids = special_ids(encoder)
    empty = Chunk((ids.start, ids.end, *[ids.pad] * (CHUNK - 2)), (1.0,) * CHUNK)
    rows, vectors = _numbered([*parts, empty] if weighted else list(parts), encoder)
    hidden, pooled = encoder.encode(rows, vectors, clip_skip)
    if weighted:
        weights = torch.tensor([part.weights for part in parts], dtype=torch.float32).to(hidden.device)
        hidden = apply_weights(hidden[:-1], hidden[-1:], weights)
    return hidden.reshape(1, -1, hidden.shape[-1]), pooled[:1]


def apply_weights(hidden: Tensor, empty: Tensor, weights: Tensor) -> Tensor:
    """Scale each token's distance from the empty text by its weight, then restore each weighted chunk's mean.

    ``hidden [k, 77, C]``, ``empty [1, 77, C]``, ``weights [k, 77]`` (prompt.md §15).
    """
    scale = weights[..., None]
    scaled = torch.where(scale == 1.0, hidden, (hidden - empty) * scale + empty)
    ratio = hidden.mean(dim=(1, 2), keepdim=True) / scaled.mean(dim=(1, 2), keepdim=True)
    return scaled * ratio


def _numbered(parts: Sequence[Chunk], encoder: ClipEncoder) -> tuple[Tensor, dict[int, Tensor]]:
    """Ids ``[B, 77]`` in which embedding rows have numbers above the vocabulary, and the rows by those numbers.

    A row of the wrong width is left out and the chunk padded at its end instead (prompt.md §13).
    """
    vectors: dict[int, Tensor] = {}
    rows: list[list[int]] = []
    for part in parts:
        row: list[int] = []
        for token in part.tokens:
            if isinstance(token, int):
                row.append(token)
            elif token.shape[-1] == encoder.width:
                number = encoder.vocabulary_size + len(vectors)
                vectors[number] = token
                row.append(number)
        rows.append(row + [encoder.pad_id] * (CHUNK - len(row)))
    return torch.tensor(rows, dtype=torch.int64), vectors
