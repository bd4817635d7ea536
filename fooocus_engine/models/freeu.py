"""FreeU v2 (Si et al. 2023, arXiv:2309.11497) on a diffusers UNet, by public hooks only.

Every decoder resnet receives ``[h, skip]`` concatenated along the channels; a pre-hook rescales both parts. Not
``enable_freeu`` of the library: that scales by a constant and picks the factors by block index (sampling.md §7.5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

PreHook = Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]


@contextmanager
def freeu(unet: Any, b1: float, b2: float, s1: float, s2: float) -> Iterator[None]:
    """Within the context, every call of ``unet`` (a ``UNet2DConditionModel``) is rescaled by FreeU v2.

    ``b1, s1`` hold where the backbone is 4 × the model channels wide, ``b2, s2`` where it is 2 × (sampling.md §7.5).
    """
    model_channels = unet.config.block_out_channels[0]
    factors = {4 * model_channels: (b1, s1), 2 * model_channels: (b2, s2)}
    with ExitStack() as hooks:
        for resnet, backbone_channels in _decoder_resnets(unet):
            if backbone_channels in factors:
                hook = _pre_hook(backbone_channels, *factors[backbone_channels])
                hooks.callback(resnet.register_forward_pre_hook(hook).remove)
        yield


def scaled_backbone(h: Tensor, b: float) -> Tensor:
    """``h [B, C, h, w]`` with its first half of channels times ``(b − 1)·m + 1``, ``m`` its mean map in 0..1."""
    mean = h.mean(dim=1, keepdim=True)
    low, high = mean.amin(dim=(2, 3), keepdim=True), mean.amax(dim=(2, 3), keepdim=True)
    span = (high - low).clamp_min(torch.finfo(h.dtype).tiny)  # a flat map would divide zero by zero
    gain = (b - 1) * (mean - low) / span + 1
    half = h.shape[1] // 2
    return torch.cat([h[:, :half] * gain, h[:, half:]], dim=1)


def scaled_skip(skip: Tensor, s: float) -> Tensor:
    """``skip [B, C, h, w]`` with the 2×2 centre of its shifted spectrum times ``s``; computed in float32."""
    spectrum = torch.fft.fftshift(torch.fft.fft2(skip.float()), dim=(-2, -1))
    row, column = skip.shape[-2] // 2, skip.shape[-1] // 2
    spectrum[..., max(row - 1, 0) : row + 1, max(column - 1, 0) : column + 1] *= s
    scaled: Tensor = torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=(-2, -1))).real
    return scaled.to(skip.dtype)


def _pre_hook(backbone_channels: int, b: float, s: float) -> PreHook:
    def rescale(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        joined, *rest = args
        h, skip = joined[:, :backbone_channels], joined[:, backbone_channels:]
        return (torch.cat([scaled_backbone(h, b), scaled_skip(skip, s)], dim=1), *rest)

    return rescale


def _decoder_resnets(unet: Any) -> Iterator[tuple[nn.Module, int]]:
    """Each decoder resnet with the channels of the backbone that enters it: what the resnet before it put out."""
    before = unet.mid_block.resnets[-1].out_channels
    for block in unet.up_blocks:
        for resnet in block.resnets:
            yield resnet, before
            before = resnet.out_channels
