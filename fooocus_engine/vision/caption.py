"""Captioner: what a photograph shows, in a sentence, by BLIP's captioning checkpoint (image-tools.md §1.1).

The same picture gives the same words: the draw is seeded with its pixels. Sizes are read from the tensors; head counts
come from ``caption.json`` in the file's companion folder, or are ViT-B's and BERT-base's own. Knows no requests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import BertWordPieceTokenizer
from torch import Tensor
from torch.nn import functional as F
from transformers import BlipConfig, BlipForConditionalGeneration

from fooocus_engine.errors import BadModelFile
from fooocus_engine.models.companion import read_told
from fooocus_engine.models.weights import assign, built
from fooocus_engine.vision.names import Rule, counted, read_wrapped, renamed
from fooocus_engine.vision.pixels import CLIP_DEVIATION, CLIP_MEAN
from fooocus_engine.vision.vocabulary import END, PADDING, load_vocabulary

PROMPT = "a picture of "
TOP_P, TOP_K, REPETITION_PENALTY = 0.9, 50, 1.1
LONGEST, SHORTEST = 75, 10  # tokens of a caption, those of the prompt among them
SEEDS = 2**63
HEADS = 12  # of both halves
VISION_EPS, TEXT_EPS = 1e-6, 1e-12
TOLD = "caption.json"

RULES: tuple[Rule, ...] = (
    (r"^visual_encoder\.cls_token$", "vision_model.embeddings.class_embedding"),
    (r"^visual_encoder\.pos_embed$", "vision_model.embeddings.position_embedding"),
    (r"^visual_encoder\.patch_embed\.proj\.", "vision_model.embeddings.patch_embedding."),
    (r"^visual_encoder\.norm\.", "vision_model.post_layernorm."),
    (r"^visual_encoder\.blocks\.", "vision_model.encoder.layers."),
    (r"^(vision_model\..*)\.attn\.proj\.", r"\1.self_attn.projection."),
    (r"^(vision_model\..*)\.attn\.", r"\1.self_attn."),
    (r"^(vision_model\..*)\.norm([12])\.", r"\1.layer_norm\2."),
)
_WORDS = "text_decoder.bert.embeddings.word_embeddings.weight"
_PATCHES, _POSITIONS = "vision_model.embeddings.patch_embedding.weight", "vision_model.embeddings.position_embedding"


@dataclass(frozen=True, eq=False)
class Captioner:
    """The network with its vocabulary."""

    network: Any
    """transformers' ``BlipForConditionalGeneration`` in evaluation mode."""
    vocabulary: BertWordPieceTokenizer
    device: torch.device
    dtype: torch.dtype

    @classmethod
    def load(cls, path: Path, vocabulary: Path, device: torch.device) -> Captioner:
        """The captioner of two files on ``device``: float16 on CUDA, float32 elsewhere.

        Raises:
            ModelUnavailable: a file is missing.
            BadModelFile: a file is damaged, or the two do not fit together.
        """
        tokenizer = load_vocabulary(vocabulary)
        dtype = torch.float16 if device.type == "cuda" else torch.float32
        tensors = renamed(read_wrapped(path), RULES)
        config = _config(tensors, tokenizer, read_told(path, TOLD), path.name)
        network = built(lambda: BlipForConditionalGeneration(config), file=path.name, part="captioner")
        assign(network, tensors, file=path.name, part="captioner", convert=lambda _, tensor: tensor.to(device, dtype))
        # A buffer that no file holds; it must not stay on the meta device.
        embeddings = network.text_decoder.bert.embeddings
        embeddings.position_ids = torch.arange(config.text_config.max_position_embeddings, device=device)[None]
        return cls(network, tokenizer, device, dtype)

    @torch.no_grad()
    def describe(self, image: Image.Image) -> str:
        """A caption of ``image`` (RGB)."""
        tokens = torch.tensor([self.vocabulary.encode(PROMPT).ids], device=self.device)
        seen = prepared(image, self.network.config.vision_config.image_size).to(self.device, self.dtype)
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed_of(image))
            drawn = self.network.generate(
                seen,
                tokens,
                do_sample=True,
                top_p=TOP_P,
                top_k=TOP_K,
                max_length=LONGEST,
                min_length=SHORTEST,
                repetition_penalty=REPETITION_PENALTY,
            )
        words: str = self.vocabulary.decode([t for t in drawn[0].tolist() if t < self.vocabulary.get_vocab_size()])
        return words[len(PROMPT) :]


def seed_of(image: Image.Image) -> int:
    """A number of the pixels of ``image`` (RGB)."""
    return int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:8], "little") % SEEDS


def prepared(image: Image.Image, side: int) -> Tensor:
    """``image`` (RGB) as ``[1, 3, side, side]``: pressed into a square after it became numbers, nothing smoothed away,
    then by CLIP's mean and deviation.
    """
    values = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
    values = F.interpolate(values, size=(side, side), mode="bicubic", align_corners=False, antialias=False)
    mean, deviation = (torch.tensor(numbers)[:, None, None] for numbers in (CLIP_MEAN, CLIP_DEVIATION))
    return (values - mean) / deviation


def _config(
    tensors: Mapping[str, Tensor], words: BertWordPieceTokenizer, told: Mapping[str, Any], file: str
) -> BlipConfig:
    try:
        tokens, width = tensors[_WORDS].shape
        vision_width, _, patch, _ = tensors[_PATCHES].shape
        patches = isqrt(tensors[_POSITIONS].shape[1] - 1)
        inner = tensors["text_decoder.bert.encoder.layer.0.intermediate.dense.weight"].shape[0]
        vision_inner = tensors["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0]
        places = tensors["text_decoder.bert.embeddings.position_embeddings.weight"].shape[0]
    except KeyError as error:
        raise BadModelFile(f"{file}: the captioner lacks {error.args[0]}") from error
    except (ValueError, IndexError) as error:
        raise BadModelFile(f"{file}: the captioner has weights of unexpected shape: {error}") from error
    if tokens != words.get_vocab_size() + 2:  # behind the vocabulary come the marks for decoding and encoding
        raise BadModelFile(f"{file}: knows {tokens} tokens, its vocabulary {words.get_vocab_size()}, not two fewer")
    text = {
        "vocab_size": tokens,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": counted(tensors, r"^text_decoder\.bert\.encoder\.layer\.(\d+)\."),
        "num_attention_heads": told.get("text_heads", HEADS),
        "max_position_embeddings": places,
        "layer_norm_eps": TEXT_EPS,
        "bos_token_id": words.get_vocab_size(),
        "sep_token_id": words.token_to_id(END),
        "pad_token_id": words.token_to_id(PADDING),
        "eos_token_id": words.token_to_id(END),
    }
    vision = {
        "hidden_size": vision_width,
        "intermediate_size": vision_inner,
        "num_hidden_layers": counted(tensors, r"^vision_model\.encoder\.layers\.(\d+)\."),
        "num_attention_heads": told.get("vision_heads", HEADS),
        "image_size": patches * patch,
        "patch_size": patch,
        "layer_norm_eps": VISION_EPS,
    }
    return BlipConfig(text_config=text, vision_config=vision)
