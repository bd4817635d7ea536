"""The starter model's networks: sizes, fresh weights, and what its companion folder tells of them.

UNet and text encoders are the engine's own classes; a checkpoint of them is SDXL's layout with smaller numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from transformers import CLIPTextConfig

from builder.starter import vocabulary
from fooocus_engine.models.families.unet_layout import Level, UNetLayout
from fooocus_engine.models.sinusoids import settle_sinusoids
from fooocus_engine.models.text_encoders import ClipEncoder, Tokenizer

NATIVE = (192, 192)  # (width, height) in pixels that most of the training shows
CHUNK = 77
Chunks = Sequence[Sequence[Sequence[int]]]
"""Per text the ids of each of its chunks, without start and end."""
CLIP_SKIP = 2  # what the product asks for by default
TOKEN_SPREAD, POSITION_SPREAD = 0.7, 0.15  # SDXL takes un-normed states: CLIP's 0.02 would tell the UNet nothing
TEXT_L: Mapping[str, Any] = {"hidden_size": 64, "num_attention_heads": 2, "hidden_act": "quick_gelu"}
TEXT_G: Mapping[str, Any] = {"hidden_size": 128, "num_attention_heads": 4, "hidden_act": "gelu"}
TEXT_LAYERS = 3
POOLED = 128
CONTEXT = TEXT_L["hidden_size"] + TEXT_G["hidden_size"]
CHANNELS = (64, 64, 96)
HEAD = 32
SIZE_NUMBERS, SIZE_WIDTH = 6, 256
LAYOUT = UNetLayout(
    in_channels=4,
    out_channels=4,
    time_width=4 * CHANNELS[0],
    down=tuple(Level(width, (depth,)) for width, depth in zip(CHANNELS, (0, 1, 1), strict=True)),
    up=tuple(Level(width, (depth, depth)) for width, depth in zip(CHANNELS[::-1], (1, 1, 0), strict=True)),
    middle_depth=1,
    context=CONTEXT,
    adm=POOLED + SIZE_NUMBERS * SIZE_WIDTH,
    linear=True,
)
UNET: Mapping[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": CHANNELS,
    "layers_per_block": 1,
    "transformer_layers_per_block": 1,
    "attention_head_dim": tuple(width // HEAD for width in CHANNELS),  # the library means the number of heads
    "cross_attention_dim": CONTEXT,
    "norm_num_groups": 16,  # 4 channels a group: fewer would drop a picture's absolute colours (starter.md §3)
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": SIZE_WIDTH,
    "projection_class_embeddings_input_dim": POOLED + SIZE_NUMBERS * SIZE_WIDTH,
}


class Networks(nn.Module):
    """UNet and both text encoders, trained together."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.unet = UNet2DConditionModel(**UNET)
        settle_sinusoids(self.unet, torch.device("cpu"))
        # The fused kernel's backward pass in bfloat16 is slower on the processor than plain products of matrices.
        self.unet.set_attn_processor(AttnProcessor())
        self.clip_l = _encoder(TEXT_L, tokenizer, projection=None, pad_id=tokenizer.end_id)
        self.clip_g = _encoder(TEXT_G, tokenizer, projection=POOLED, pad_id=0)

    def text(self, chunks: Chunks) -> tuple[Tensor, Tensor]:
        """Cross-attention ``[B, 77·k, 192]`` and pooled ``[B, 128]`` of ``k`` chunks for each of ``B`` texts."""
        return text_states((self.clip_l, self.clip_g), chunks)


def text_states(encoders: Sequence[ClipEncoder], chunks: Chunks) -> tuple[Tensor, Tensor]:
    """What both encoders say of ``k`` chunks for each of ``B`` texts: cross-attention ``[B, 77·k, C]`` and pooled.

    The pooled one is the first chunk's.
    """
    count = len(chunks[0])
    flat = [ids for text in chunks for ids in text]
    states = []
    pooled = torch.empty(0)
    for encoder in encoders:
        ids = torch.tensor([_framed(encoder, words) for words in flat])
        hidden, pooled = encoder(ids, None, CLIP_SKIP)
        states.append(hidden.unflatten(0, (-1, count)).flatten(1, 2))
    return torch.cat(states, dim=-1), pooled[::count]


def _encoder(sizes: Mapping[str, Any], tokenizer: Tokenizer, *, projection: int | None, pad_id: int) -> ClipEncoder:
    config = CLIPTextConfig(
        vocab_size=tokenizer.end_id + 1,
        intermediate_size=4 * sizes["hidden_size"],
        num_hidden_layers=TEXT_LAYERS,
        max_position_embeddings=CHUNK,
        bos_token_id=tokenizer.start_id,
        eos_token_id=tokenizer.end_id,
        pad_token_id=tokenizer.end_id,
        **sizes,
    )
    encoder = ClipEncoder(config, tokenizer, projection=projection, pad_id=pad_id)
    tables = encoder.text_model.embeddings
    nn.init.normal_(tables.token_embedding.weight, std=TOKEN_SPREAD)
    nn.init.normal_(tables.position_embedding.weight, std=POSITION_SPREAD)
    if encoder.text_projection is not None:
        nn.init.normal_(encoder.text_projection, std=sizes["hidden_size"] ** -0.5)
    return encoder


def _framed(encoder: ClipEncoder, words: Sequence[int]) -> list[int]:
    ids = [encoder.start_id, *words[: CHUNK - 2], encoder.end_id]
    return ids + [encoder.pad_id] * (CHUNK - len(ids))


@dataclass(frozen=True)
class Words:
    """Texts → ids, remembering each word."""

    tokenizer: Tokenizer

    def ids(self, text: str) -> list[int]:
        """Ids of ``text`` without start and end."""
        return [i for word in text.split() for i in _word_ids(self.tokenizer, word)]


@lru_cache(maxsize=20_000)
def _word_ids(tokenizer: Tokenizer, word: str) -> tuple[int, ...]:
    return tuple(i for ids in tokenizer.words(word) for i in ids)


def new_tokenizer() -> Tokenizer:
    """The tokenizer of the picture world."""
    with TemporaryDirectory() as folder:
        vocabulary.write_tokenizer(Path(folder))
        return Tokenizer(Path(folder))


@dataclass
class Average:
    """A running mean of weights, which is what is shipped."""

    weights: dict[str, Tensor]
    keep: float = 0.999

    def update(self, module: nn.Module, step: int) -> None:
        """Move towards the present weights; faster in the first steps."""
        keep = min(self.keep, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, value in module.state_dict().items():
                self.weights[name].lerp_(value, 1 - keep)

    @contextmanager
    def shown(self, module: nn.Module) -> Iterator[None]:
        """``module`` with the averaged weights inside the block, and with its own again after it."""
        present = {name: value.clone() for name, value in module.state_dict().items()}
        module.load_state_dict(self.weights)
        try:
            yield
        finally:
            module.load_state_dict(present)
