"""ImagePromptAdapter: a file of IP-Adapter Plus form, patch features → tokens → keys and values (image-control.md §4).

Takes what the vision tower puts out; gives keys and values for each cross-attention layer of a UNet. What a layer does
with them is ``image_attention.py``'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fooocus_engine.errors import BadModelFile
from fooocus_engine.models.companion import read_told
from fooocus_engine.models.image_attention import KeysValues, layer_widths
from fooocus_engine.models.resampler import Resampler, ResamplerSizes, sizes_of
from fooocus_engine.models.weights import assign, built, read_file, read_weights

RESAMPLER, LAYERS = "image_proj", "ip_adapter"  # the two dicts of a file
NEGATIVE = "data"  # the tensor of the file of negative tokens
TOLD = "resampler.json"
_KEYS = ".to_k_ip.weight"


@dataclass(frozen=True)
class AdapterSizes:
    """Sizes of the resampler, and per attention layer its number in the file and its channels."""

    resampler: ResamplerSizes
    layers: Mapping[int, int]


class ImagePromptAdapter(nn.Module):
    """The resampler and a pair of matrices for each cross-attention layer. Its names are those of the files."""

    def __init__(self, sizes: AdapterSizes) -> None:
        super().__init__()
        context = sizes.resampler.context
        self.image_proj = Resampler(sizes.resampler)
        self.ip_adapter = nn.ModuleDict(
            {str(number): LayerMatrices(context, width) for number, width in sorted(sizes.layers.items())}
        )
        self.widths = [width for _, width in sorted(sizes.layers.items())]
        """Channels of each layer, in the order of ``image_attention.cross_attentions``."""
        self.features = sizes.resampler.features
        self.token_shape = (1, sizes.resampler.tokens, context)

    def tokens(self, features: Tensor) -> Tensor:
        """Image tokens ``[B, tokens, context]`` of patch features ``[B, N, width]``."""
        tokens: Tensor = self.image_proj(features)
        return tokens

    def keys_values(self, tokens: Tensor) -> KeysValues:
        """Keys and values ``[B, tokens, C]`` for each layer."""
        return tuple((layer.to_k_ip(tokens), layer.to_v_ip(tokens)) for layer in self.ip_adapter.values())  # type: ignore[operator]


class LayerMatrices(nn.Module):
    """Tokens → keys and values of one layer."""

    def __init__(self, context: int, width: int) -> None:
        super().__init__()
        self.to_k_ip = nn.Linear(context, width, bias=False)
        self.to_v_ip = nn.Linear(context, width, bias=False)


def load_adapter(path: Path, device: torch.device, dtype: torch.dtype) -> ImagePromptAdapter:
    """The adapter of a file.

    Raises:
        ModelUnavailable: there is no such file.
        BadModelFile: unreadable, refused by the weights-only reader, or not of this form.
    """
    content = read_file(path)
    resampler, layers = (_tensors(content, part, path.name) for part in (RESAMPLER, LAYERS))
    try:
        sizes = AdapterSizes(
            sizes_of(resampler, read_told(path, TOLD)),
            {int(name.partition(".")[0]): matrix.shape[0] for name, matrix in layers.items() if name.endswith(_KEYS)},
        )
    except (KeyError, ValueError) as error:
        raise BadModelFile(f"{path.name}: not an image-prompt adapter: {error}") from error
    adapter = built(lambda: ImagePromptAdapter(sizes), file=path.name, part="image-prompt adapter")
    named = {f"{part}.{name}": t for part, ts in ((RESAMPLER, resampler), (LAYERS, layers)) for name, t in ts.items()}
    assign(adapter, named, file=path.name, part="image-prompt adapter", convert=lambda _, t: t.to(device, dtype))
    return adapter


def adapter_file(adapter: ImagePromptAdapter) -> dict[str, dict[str, Tensor]]:
    """What a file of this adapter holds."""
    parts: dict[str, dict[str, Tensor]] = {RESAMPLER: {}, LAYERS: {}}
    for name, tensor in adapter.state_dict().items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    return parts


def load_negative(path: Path, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The image tokens of the negative half, ``[1, tokens, context]``.

    Raises:
        ModelUnavailable: there is no such file.
        BadModelFile: it holds no such tensor.
    """
    weights = read_weights(path)
    if NEGATIVE not in weights:
        raise BadModelFile(f"{path.name}: holds no tensor {NEGATIVE!r}")
    return weights[NEGATIVE].to(device, dtype)


def require_fit(adapter: ImagePromptAdapter, unet: Any, file: str) -> None:
    """Refuse an adapter that was made for another UNet.

    Raises:
        BadModelFile: number or channels of the attention layers differ.
    """
    wanted = layer_widths(unet)
    if adapter.widths != wanted:
        raise BadModelFile(
            f"{file}: made for another kind of base model: {_summary(adapter.widths)}, not {_summary(wanted)}"
        )


def _summary(widths: list[int]) -> str:
    return f"{len(widths)} attention layers of {' or '.join(map(str, sorted(set(widths))))} channels"


def _tensors(content: Mapping[str, Any], part: str, file: str) -> dict[str, Tensor]:
    found = content.get(part)
    if not isinstance(found, Mapping):
        raise BadModelFile(f"{file}: not an image-prompt adapter: it has no {part!r}")
    return {str(name): tensor for name, tensor in found.items() if isinstance(tensor, Tensor)}
