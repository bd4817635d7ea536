"""What the cross-attention of a UNet does with image prompts: a borrowed change, by public hooks only.

Two formulas: the reference's (image-control.md §4.4: image tokens among the text's, one softmax), and IP-Adapter's
own (Ye et al. 2023, arXiv:2308.06721, eq. 5: a second attention beside the text's). Knows no pictures and no files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FULL_WIDTH = 1280  # channels of a layer in which an image prompt has its whole weight

KeysValues = tuple[tuple[Tensor, Tensor], ...]
"""Keys and values ``[B, tokens, C]`` of a picture, one pair a cross-attention layer."""
Side = Literal["positive", "negative"]


@dataclass(frozen=True, eq=False)
class ImagePrompt:
    """A picture that steers sampling, as one UNet sees it."""

    positive: KeysValues
    """Of the picture, one row."""
    negative: KeysValues
    """Of the negative tokens, one row."""
    weight: float
    """0-2."""
    stop: float
    """Share 0-1 of the way from noise to picture during which it is looked at."""
    separate: bool = False
    """IP-Adapter's own arithmetic instead of the reference's."""

    def rows(self, sides: Sequence[Side]) -> Looked:
        """What a UNet call is told whose rows are these sides."""
        halves = [self.positive if side == "positive" else self.negative for side in sides]
        layers = tuple(
            (torch.cat([k for k, _ in layer]), torch.cat([v for _, v in layer])) for layer in zip(*halves, strict=True)
        )
        return Beside(layers, self.weight) if self.separate else Among(weighted(layers, self.weight))

    def is_active(self, progress: float) -> bool:
        """Whether it is looked at when a share ``progress`` of the way is done (image-control.md §4.4)."""
        return progress < self.stop


@dataclass(frozen=True, eq=False)
class Among:
    """Keys and values that stand behind the text's own; one softmax over all."""

    layers: KeysValues


@dataclass(frozen=True, eq=False)
class Beside:
    """Keys and values of an attention of its own, whose outcome is added to the text's, times ``scale``."""

    layers: KeysValues
    scale: float


Looked = Among | Beside


def weighted(layers: KeysValues, weight: float) -> KeysValues:
    """The reference's weighting (image-control.md §4.4): keys, and of the values only their mean over the tokens."""
    return tuple(_weighted(k, v, weight * k.shape[-1] / FULL_WIDTH) for k, v in layers)


def _weighted(k: Tensor, v: Tensor, w: float) -> tuple[Tensor, Tensor]:
    mean = v.mean(dim=1, keepdim=True)
    return w * k, (v - mean) + w * mean


@contextmanager
def looking_at(unet: Any, pictures: Sequence[Looked]) -> Iterator[None]:
    """Within the context ``unet`` (a ``UNet2DConditionModel``) also looks at ``pictures``; afterwards it is as before.

    Rows of the pictures are the rows of the UNet's calls.

    Raises:
        ValueError: a picture has keys for more or fewer layers than the UNet has (before anything is changed).
    """
    layers = cross_attentions(unet) if pictures else []
    for picture in pictures:
        if len(picture.layers) != len(layers):
            raise ValueError(f"keys and values for {len(picture.layers)} attention layers; there are {len(layers)}")
    with ExitStack() as hooks:
        for picture in pictures:
            for attention, (k, v) in zip(layers, picture.layers, strict=True):
                match picture:
                    case Among():
                        hooks.callback(attention.to_k.register_forward_hook(_appending(k)).remove)
                        hooks.callback(attention.to_v.register_forward_hook(_appending(v)).remove)
                    case Beside(scale=scale):
                        beside = _Beside(attention.heads, k, v, scale)
                        hooks.callback(attention.to_q.register_forward_hook(beside.take_query).remove)
                        hooks.callback(attention.to_out[0].register_forward_pre_hook(beside.add).remove)
        yield


def cross_attentions(unet: Any) -> list[Any]:
    """The attention layers that look at texts, in the order of image-control.md §4.3: down, up, middle."""
    names = [name.removesuffix(".processor") for name in unet.attn_processors]
    return [unet.get_submodule(name) for name in names if name.endswith(".attn2")]


def layer_widths(unet: Any) -> list[int]:
    """Channels of each of these layers."""
    return [layer.to_k.out_features for layer in cross_attentions(unet)]


def _appending(tokens: Tensor) -> Callable[[nn.Module, Any, Tensor], Tensor]:
    return lambda module, inputs, output: torch.cat([output, tokens.to(output.dtype)], dim=1)


class _Beside:
    """The second attention of one layer; its two hooks run one after the other in each call."""

    def __init__(self, heads: int, k: Tensor, v: Tensor, scale: float) -> None:
        self._k, self._v = self._by_head(k, heads), self._by_head(v, heads)
        self._heads, self._scale = heads, scale
        self._q = k

    def take_query(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        self._q = output

    def add(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        text, *rest = inputs
        q = self._by_head(self._q, self._heads)
        seen = F.scaled_dot_product_attention(q, self._k.to(q.dtype), self._v.to(q.dtype))
        return (text + self._scale * seen.transpose(1, 2).flatten(2).to(text.dtype), *rest)

    @staticmethod
    def _by_head(tensor: Tensor, heads: int) -> Tensor:
        return tensor.reshape(*tensor.shape[:2], heads, -1).transpose(1, 2)
