"""The CLIP text encoders: words → ids, ids → hidden states and pooled vector, with clip skip (prompt.md §§12–14).

Transformer weights rest in half precision and are widened at each use, so arithmetic is float32 whatever the device.
Knows no chunks, no emphasis and no embedding files: those belong to conditioning.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from fooocus_engine.errors import BadModelFile, ModelUnavailable
from fooocus_engine.models.catalogue import CLIP_TOKENIZER

START = "<|startoftext|>"
END = "<|endoftext|>"
TOKENIZER_FILES = ("vocab.json", "merges.txt")
TOKENIZER_HINT = (
    f"put CLIP's {' and '.join(TOKENIZER_FILES)} into models/{CLIP_TOKENIZER}, or into the folder tokenizer of the "
    "checkpoint's companion"
)

_IDEOGRAPH = re.compile(
    "([\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002b73f\U0002b740-\U0002b81f\U0002b820-\U0002ceaf"
    "\uf900-\ufaff\U0002f800-\U0002fa1f])"
)


class Tokenizer:
    """CLIP's byte-pair encoding, one word at a time."""

    def __init__(self, folder: Path) -> None:
        """Read ``vocab.json`` and ``merges.txt`` of ``folder``.

        Raises:
            ModelUnavailable: one of them is missing.
            BadModelFile: they are not a CLIP vocabulary.
        """
        for name in TOKENIZER_FILES:
            if not (folder / name).is_file():
                raise ModelUnavailable(f"tokenizer file {name!r} is not installed", TOKENIZER_HINT)
        vocabulary, merges = (str(folder / name) for name in TOKENIZER_FILES)
        try:
            self._tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges)
        except Exception as error:  # the Rust side raises bare Exception on any damage
            raise BadModelFile(f"{folder.name}: not a CLIP tokenizer") from error
        self.start_id: int = self._tokenizer.bos_token_id
        self.end_id: int = self._tokenizer.eos_token_id

    def words(self, text: str) -> list[list[int]]:
        """Ids of each blank-separated word of ``text``; a word that the pre-pass empties has none."""
        return [self._ids(word) for word in text.replace("\n", " ").split(" ") if word]

    def _ids(self, word: str) -> list[int]:
        ids: list[int] = self._tokenizer(basic_cleanup(word))["input_ids"]
        return ids[1:-1]  # without start and end


def basic_cleanup(text: str) -> str:
    """The pre-pass of the reference's tokenizer, which the library's lacks (prompt.md §12).

    Drops control and unassigned characters, sets ideographs apart, composes (NFC) and lowers each piece as a whole.
    """
    text = "".join(_cleaned(character) for character in text)
    text = unicodedata.normalize("NFC", _IDEOGRAPH.sub(r" \1 ", text))
    return " ".join(piece.lower() for piece in text.split())


def _cleaned(character: str) -> str:
    if character in "\t\n\r":
        return " "
    category = unicodedata.category(character)
    if character == "\ufffd" or category.startswith("C"):
        return ""
    return " " if category == "Zs" else character


class WideningLinear(nn.Linear):
    """A linear layer that computes in float32 on weights kept in any dtype."""

    def forward(self, x: Tensor) -> Tensor:
        """``x`` float32 ``[…, in]`` → ``[…, out]``."""
        return F.linear(x, self.weight.float(), None if self.bias is None else self.bias.float())


class WideningLayerNorm(nn.LayerNorm):
    """A layer norm that computes in float32 on weights kept in any dtype."""

    def forward(self, x: Tensor) -> Tensor:
        """``x`` float32 ``[…, width]``, same shape out."""
        return F.layer_norm(x, self.normalized_shape, self.weight.float(), self.bias.float(), self.eps)


class ClipEncoder(nn.Module):
    """One text encoder with its tokenizer. Parameters carry Hugging Face names: ``text_model.encoder.layers.0.…``."""

    text_projection: nn.Parameter | None

    def __init__(self, config: CLIPTextConfig, tokenizer: Tokenizer, *, projection: int | None, pad_id: int) -> None:
        """``projection`` is the width of the pooled vector; ``None`` leaves it unprojected."""
        super().__init__()
        self.text_model = CLIPTextModel(config)
        # The reference multiplies matrices one by one; a fused kernel rounds otherwise, and weights magnify that.
        self.text_model.set_attn_implementation("eager")
        _widen(self.text_model)
        width: int = config.hidden_size
        self.text_projection = None if projection is None else nn.Parameter(torch.empty(width, projection))
        self.tokenizer = tokenizer
        self.width = width
        self.start_id = tokenizer.start_id
        self.end_id = tokenizer.end_id
        self.pad_id = pad_id

    @property
    def vocabulary_size(self) -> int:
        """Number of rows of the embedding table; ids from here on need vectors of their own."""
        size: int = self.text_model.embeddings.token_embedding.num_embeddings
        return size

    @property
    def final_layer_norm(self) -> nn.LayerNorm:
        """Applied before pooling; an SD1.5 refiner's cross-attention takes rows normed by CLIP-L's (prompt.md §17)."""
        norm: nn.LayerNorm = self.text_model.final_layer_norm
        return norm

    def words(self, text: str) -> list[list[int]]:
        """Ids of each blank-separated word of ``text``, without start and end token."""
        return self.tokenizer.words(text)

    @torch.no_grad()
    def encode(self, ids: Tensor, vectors: Mapping[int, Tensor] | None, clip_skip: int) -> tuple[Tensor, Tensor]:
        """What ``forward`` gives, without a graph."""
        return self(ids, vectors, clip_skip)  # type: ignore[no-any-return]

    def forward(self, ids: Tensor, vectors: Mapping[int, Tensor] | None, clip_skip: int) -> tuple[Tensor, Tensor]:
        """Hidden states ``[B, T, width]`` and pooled vectors ``[B, P]`` of ``ids [B, T]`` int64, both float32.

        Hidden states are those of ``clip_skip`` layers before the end (1 = last), without the final norm; where there
        are fewer layers, the last after the final norm. ``vectors`` holds the embeddings ``[width]`` of ids at or above
        the vocabulary's size (textual inversion). Pooled is the final norm at the first end token, projected.

        Raises:
            ValueError: ``clip_skip`` is below 1, or an id has no embedding.
        """
        if clip_skip < 1:
            raise ValueError(f"clip_skip must be 1 or more, got {clip_skip}")
        foreign = self._foreign(ids, vectors or {})  # looked up where the ids come from: no waiting for a GPU
        ids = ids.to(self.text_model.embeddings.token_embedding.weight.device)
        states = [self._embedded(ids, foreign)]
        mask = torch.full((ids.shape[1], ids.shape[1]), -torch.inf, device=ids.device).triu(1)[None, None]
        for layer in self.text_model.encoder.layers:
            states.append(layer(states[-1], mask))
        last: Tensor = self.final_layer_norm(states[-1])
        hidden = states[-clip_skip] if clip_skip < len(states) else last
        return hidden, self._pooled(ids, last)

    def _foreign(self, ids: Tensor, vectors: Mapping[int, Tensor]) -> dict[int, Tensor]:
        """The vectors of those ``ids`` that the vocabulary does not have."""
        size = self.vocabulary_size
        foreign: list[int] = torch.unique(ids[ids >= size]).tolist()
        if unknown := [i for i in foreign if i not in vectors]:
            raise ValueError(f"ids {unknown} have no embedding; the vocabulary ends at {size - 1}")
        return {i: vectors[i] for i in foreign}

    def _embedded(self, ids: Tensor, vectors: Mapping[int, Tensor]) -> Tensor:
        tables = self.text_model.embeddings
        embedded: Tensor = tables.token_embedding(ids.clamp(max=self.vocabulary_size - 1)).float()
        for i, vector in vectors.items():
            embedded[ids == i] = vector.to(embedded)
        positions: Tensor = tables.position_embedding.weight[: ids.shape[1]].float()
        return embedded + positions

    def _pooled(self, ids: Tensor, last: Tensor) -> Tensor:
        """``last`` at the largest id of the vocabulary, which is the end token, where it stands first."""
        position = torch.where(ids < self.vocabulary_size, ids, -1).argmax(dim=-1)
        pooled = last[torch.arange(len(ids), device=ids.device), position]
        return pooled if self.text_projection is None else pooled @ self.text_projection.float()


def _widen(module: nn.Module) -> None:
    """Put widening layers of the same sizes in the place of the library's own ones."""
    for name, child in module.named_children():
        match child:
            case nn.Linear():
                wide: nn.Module = WideningLinear(child.in_features, child.out_features, bias=child.bias is not None)
                module.register_module(name, wide)
            case nn.LayerNorm():
                module.register_module(name, WideningLayerNorm(child.normalized_shape, eps=child.eps))
            case _:
                _widen(child)


@dataclass(frozen=True, eq=False)
class TextEncoders:
    """The encoders of a base model."""

    clip_l: ClipEncoder | None
    clip_g: ClipEncoder | None
