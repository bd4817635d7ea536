"""Names: what a LoRA-type file may call each weight of a model (models.md §6.1).

Takes parameter names, gives base name → weight. Knows no file and no arithmetic. Encoders that a refiner dropped
still have names here, so that a file's keys for them count as known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

CLIP_BLOCKS = {"clip_l": 12, "clip_g": 32}  # transformer blocks of the published encoders (prompt.md §14)
BLOCK_LINEARS = (
    "mlp.fc1", "mlp.fc2", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj",
)  # fmt: skip
KOHYA_PREFIXES = {"clip_l": ("lora_te_", "lora_te1_"), "clip_g": ("lora_te2_",)}
DIFFUSERS_PREFIX = {"clip_l": "text_encoder.", "clip_g": "text_encoder_2."}


class Weight(NamedTuple):
    """One parameter of a model: which part (``unet``, ``clip_l``, ``clip_g``), and its name inside that module."""

    part: str
    parameter: str


@dataclass(frozen=True)
class Names:
    """Every way in which a file may name a weight."""

    bases: Mapping[str, Weight]
    """Base names; a file appends ``.lora_up.weight``, ``.alpha`` … to them."""
    raw: Mapping[str, Weight]
    """Keys of the original state dict, biases included."""


def unet_names(parameters: Mapping[str, str]) -> Names:
    """Names of a UNet's weights, from its LDM keys (without prefix) → parameter names."""
    raw = {f"diffusion_model.{ldm}": Weight("unet", parameter) for ldm, parameter in parameters.items()}
    bases = dict(raw)
    for ldm, parameter in parameters.items():
        if ldm.endswith(".weight"):
            stems = ldm.removesuffix(".weight"), parameter.removesuffix(".weight")
            bases.update(dict.fromkeys(_unet_bases(*stems), Weight("unet", parameter)))
    return Names(bases, raw)


def text_names(part: str, parameters: Iterable[str]) -> Names:
    """Names of the weights of an encoder, ``clip_l`` or ``clip_g``, from its parameters' Hugging Face names.

    The projection behind ``text_model.`` has no name: its raw form is transposed, and no file changes it.
    """
    weights = {name: Weight(part, name) for name in parameters if name.startswith("text_model.")}
    raw = {f"{part}.transformer.{name}": weight for name, weight in weights.items()}
    bases = dict(raw)
    for name, weight in weights.items():
        stem = name.removesuffix(".weight")
        if name != stem and stem.endswith(BLOCK_LINEARS):
            bases.update(dict.fromkeys(_text_bases(part, stem), weight))
    return Names(bases, raw)


def usual_linears(part: str) -> list[str]:
    """Parameter names of the linear layers of the published encoder, for a model that dropped its own."""
    layers = (f"text_model.encoder.layers.{block}" for block in range(CLIP_BLOCKS[part]))
    return [f"{layer}.{linear}.weight" for layer in layers for linear in BLOCK_LINEARS]


def together(names: Iterable[Names]) -> Names:
    """The names of several parts as one."""
    bases: dict[str, Weight] = {}
    raw: dict[str, Weight] = {}
    for part in names:
        bases.update(part.bases)
        raw.update(part.raw)
    return Names(bases, raw)


def _unet_bases(ldm: str, diffusers: str) -> Iterator[str]:
    yield "lora_unet_" + ldm.replace(".", "_")
    yield "lora_unet_" + diffusers.replace(".", "_")
    processor = diffusers.replace(".to_", ".processor.to_")
    if processor.endswith(".to_out.0"):
        processor = processor.removesuffix(".0")
    yield processor
    yield f"unet.{processor}"


def _text_bases(part: str, stem: str) -> Iterator[str]:
    for prefix in KOHYA_PREFIXES[part]:
        yield prefix + stem.replace(".", "_")
    yield DIFFUSERS_PREFIX[part] + stem
