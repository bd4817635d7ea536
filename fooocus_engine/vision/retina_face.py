"""RetinaFace upon ResNet-50: where faces might be, at three sizes (Deng et al. 2019, arXiv:1905.00641).

The network alone; what its numbers mean is ``faces.py``'s. Module names are those of the published file
(image-control.md §5), so its tensors need no other names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BLOCKS = (3, 4, 6, 3)  # of ResNet-50's layers
EXPANSION = 4
CHANNELS = 256
ANCHORS = 2  # at each place


class Found(NamedTuple):
    """What the network says of every anchor: ``A`` of them, finest level first, then row by row."""

    scores: Tensor
    """``[A, 2]``: how sure it is of background and of a face, before softmax."""
    boxes: Tensor
    """``[A, 4]``."""
    landmarks: Tensor
    """``[A, 10]``."""


class RetinaFace(nn.Module):
    """Pixels ``[1, 3, h, w]`` → ``Found``."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Body()
        self.fpn = Pyramid([256 * 2**level for level in (1, 2, 3)])
        self.ssh1, self.ssh2, self.ssh3 = (Context() for _ in range(3))
        self.ClassHead, self.BboxHead, self.LandmarkHead = (heads(count) for count in (2, 4, 10))

    def forward(self, pixels: Tensor) -> Found:
        """What it finds."""
        levels = self.fpn(self.body(pixels))
        features = [context(level) for context, level in zip((self.ssh1, self.ssh2, self.ssh3), levels, strict=True)]
        return Found(*(said(head, features) for head in (self.ClassHead, self.BboxHead, self.LandmarkHead)))


def said(head: nn.ModuleList, features: list[Tensor]) -> Tensor:
    """``[A, n]`` over all levels."""
    return torch.cat([one(level) for one, level in zip(head, features, strict=True)])


def heads(count: int) -> nn.ModuleList:
    """One for every level, with ``count`` numbers an anchor."""
    return nn.ModuleList(Head(count) for _ in range(3))


class Head(nn.Module):
    """Features ``[1, 256, h, w]`` → ``[h · w · anchors, n]``."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.conv1x1 = nn.Conv2d(CHANNELS, ANCHORS * count, 1)

    def forward(self, features: Tensor) -> Tensor:
        """The numbers of each anchor."""
        numbers: Tensor = self.conv1x1(features)
        return numbers.permute(0, 2, 3, 1).reshape(-1, self.count)


class Body(nn.Module):
    """ResNet-50 (He et al. 2015, arXiv:1512.03385) without its classifier; strides in the 3×3 convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        widths = [64 * 2**level for level in range(4)]
        incoming = (64, *(EXPANSION * width for width in widths[:-1]))
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            layer(before, width, count, stride=1 if before == width else 2)
            for before, width, count in zip(incoming, widths, BLOCKS, strict=True)
        )

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Features of 512, 1024 and 2048 channels, at an 8th, a 16th and a 32nd of the size."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(pixels))), 3, 2, 1)
        levels = []
        for each in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = each(x)
            levels.append(x)
        return levels[1:]


def layer(before: int, width: int, count: int, *, stride: int) -> nn.Sequential:
    """``count`` blocks, the first of which halves the size where ``stride`` is 2."""
    first = Bottleneck(before, width, stride, shortcut=True)
    return nn.Sequential(first, *(Bottleneck(EXPANSION * width, width, 1, shortcut=False) for _ in range(count - 1)))


class Bottleneck(nn.Module):
    """Three convolutions beside a shortcut."""

    def __init__(self, before: int, width: int, stride: int, *, shortcut: bool) -> None:
        super().__init__()
        after = EXPANSION * width
        self.conv1, self.bn1 = nn.Conv2d(before, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, after, 1, bias=False), nn.BatchNorm2d(after)
        if shortcut:
            self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        else:
            self.downsample = nn.Sequential()

    def forward(self, x: Tensor) -> Tensor:
        """The features behind it."""
        inner = F.relu(self.bn1(self.conv1(x)))
        inner = F.relu(self.bn2(self.conv2(inner)))
        return F.relu(self.bn3(self.conv3(inner)) + self.downsample(x))


class Pyramid(nn.Module):
    """Brings the body's levels to 256 channels, each told of the coarser ones."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.output1, self.output2, self.output3 = (convolution(width, CHANNELS, 1) for width in widths)
        self.merge1, self.merge2 = (convolution(CHANNELS, CHANNELS, 3) for _ in range(2))

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """The levels, finest first."""
        outputs = zip((self.output1, self.output2, self.output3), levels, strict=True)
        fine, middle, coarse = (output(level) for output, level in outputs)
        middle = self.merge2(middle + F.interpolate(coarse, size=middle.shape[-2:]))
        fine = self.merge1(fine + F.interpolate(middle, size=fine.shape[-2:]))
        return [fine, middle, coarse]


class Context(nn.Module):
    """Looks at surroundings of 3, 5 and 7 pixels (SSH; Najibi et al. 2017, arXiv:1708.03979)."""

    def __init__(self) -> None:
        super().__init__()
        half, quarter = CHANNELS // 2, CHANNELS // 4
        self.conv3X3 = convolution(CHANNELS, half, 3, bent=False)
        self.conv5X5_1 = convolution(CHANNELS, quarter, 3)
        self.conv5X5_2 = convolution(quarter, quarter, 3, bent=False)
        self.conv7X7_2 = convolution(quarter, quarter, 3)
        self.conv7x7_3 = convolution(quarter, quarter, 3, bent=False)

    def forward(self, x: Tensor) -> Tensor:
        """All three, one behind the other."""
        wider = self.conv5X5_1(x)
        widest = self.conv7x7_3(self.conv7X7_2(wider))
        return F.relu(torch.cat([self.conv3X3(x), self.conv5X5_2(wider), widest], dim=1))


def convolution(before: int, after: int, size: int, *, bent: bool = True) -> nn.Sequential:
    """A convolution that keeps the size, normed, and ``bent`` by a ReLU."""
    layers: list[nn.Module] = [nn.Conv2d(before, after, size, padding=size // 2, bias=False), nn.BatchNorm2d(after)]
    return nn.Sequential(*layers, *([nn.ReLU()] if bent else []))


Network = Callable[[Tensor], Found]
