"""``python -m builder.starter.train_upscaler``: the 4× network on renders of the picture world, resumable at any time.

Writes a file of the published kind: a torch-saved state dict in old-style ESRGAN names, float16.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from builder.starter.pictures import draw_pool, recoloured
from builder.starter.training import Course, State, cosine, new_parser, run, write_whole
from builder.starter.upscaling import Pair, gain, held_out_pairs
from fooocus_engine.models.catalogue import UPSCALERS
from fooocus_engine.models.store import UPSCALER_FILE
from fooocus_engine.models.upscaler import COLOURS, SCALE, SLOPE, Upscaler, UpscalerNetwork

SIZES = ((768, 768), (256, 256), (512, 512), (768, 512), (384, 384), (512, 768))  # of the large pictures
PLACES = 6  # looked at for a crop; the most varied one is taken, because most of a picture is plain
RECOLOURED, MIXED, BY_LANCZOS = 1 / 4, 1 / 6, 1 / 4  # shares of the crops
RATE = 1e-3
SMALL = 0.02  # error below which its square counts, so that plain areas do not outweigh edges
HALF_LEVEL = 0.5 / 255
SIDE = 32  # pixels of a crop before it is enlarged
FEATURES, GROWTH, BLOCKS = 32, 16, 3


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = new_parser("train_upscaler", __doc__)
    made.add_argument("--steps", type=int, required=True, help="in all, those of earlier runs included")
    made.add_argument("--batch", type=int, default=4)
    made.add_argument("--pool", type=int, default=600, help="pictures that a run draws")
    return made


def main() -> None:
    """Train for so many steps in all."""
    torch.set_num_threads(1)
    train(parser().parse_args())


def train(given: argparse.Namespace) -> None:
    """Steps until the last one, then the file."""
    torch.manual_seed(1)
    network = new_network(FEATURES, GROWTH, BLOCKS)
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE, betas=(0.9, 0.99))
    state = State(given.work / "upscaler.pt", {"network": network.state_dict()}, optimiser)
    seed = state.seed(20)
    random = Random(seed)

    @cache
    def pool() -> list[np.ndarray]:
        return [drawn for _, drawn in draw_pool(seed, given.pool, SIZES, processes=1)]

    @cache
    def pairs() -> list[Pair]:
        return held_out_pairs(3, seed=8)

    def measured() -> dict[str, float]:
        return {"gain": gain(Upscaler(whole(network), torch.device("cpu"), torch.float32), pairs())}

    course = Course(
        loss=lambda: crop_loss(network, *draw_batch(pool(), given.batch, SIDE, random)),
        rate=partial(cosine, warm=50),
        measured=measured,
        seed=seed,
        stepped=lambda: blind(network),
        write=lambda: write(whole(network), given.models / UPSCALERS / UPSCALER_FILE),
    )
    run(state, given.steps, course)


def new_network(features: int, growth: int, blocks: int) -> UpscalerNetwork:
    """A network that makes nothing yet: in training it tells what a repetition of the pixels lacks."""
    network = UpscalerNetwork(features=features, growth=growth, blocks=blocks)
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1 or name.startswith("model.10."):
            nn.init.zeros_(parameter)
        else:
            nn.init.kaiming_normal_(parameter, a=SLOPE)
    blind(network)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


@torch.no_grad()
def blind(network: UpscalerNetwork) -> None:
    """Have the network see only how neighbours differ, and keep three features idle for ``whole``.

    So what it learns is alike for all colours, those that the world lacks included.
    """
    first, *rest = (module for module in network.modules() if isinstance(module, nn.Conv2d))
    first.weight.sub_(first.weight.mean((2, 3), keepdim=True))
    for module in rest:
        module.weight[:, :COLOURS] = 0


@torch.no_grad()
def whole(network: UpscalerNetwork) -> UpscalerNetwork:
    """A copy whose three idle features hand the colours on, so that it adds what it makes to a repetition itself.

    Half a level is added besides: the engine cuts levels off where others round (image-uov.md §3).
    """
    copied = copy.deepcopy(network)
    outer = [module for module in copied.model if isinstance(module, nn.Conv2d)]
    *_, end_of_trunk = copied.get_submodule("model.1.sub").children()
    for module in (*outer[:-1], end_of_trunk):
        for parameter in module.parameters():
            parameter[:COLOURS] = 0
    for module in outer:
        module.weight[:COLOURS, :COLOURS, 1, 1] = torch.eye(COLOURS)
    for parameter in outer[-1].parameters():
        if parameter.ndim == 1:
            parameter.add_(HALF_LEVEL)
    return copied


def crop_loss(network: nn.Module, low: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute error of crops, squared where it is small; ``low [B, 3, s, s]``, ``truth [B, 3, 4s, 4s]``.

    Small differences are left out of half precision: the network's output is added to the repetition in float32.
    """
    with torch.autocast("cpu", torch.bfloat16):
        lacking = network(low.contiguous(memory_format=torch.channels_last))
    made = F.interpolate(low, scale_factor=SCALE) + lacking.float()
    return F.smooth_l1_loss(made, truth, beta=SMALL)


def draw_batch(pool: Sequence[np.ndarray], count: int, side: int, random: Random) -> tuple[Tensor, Tensor]:
    """Crops of random pictures and their reductions: ``[B, 3, s, s]`` and ``[B, 3, 4s, 4s]`` in 0…1."""
    pieces = [_piece(pool, side * SCALE, random) for _ in range(count)]
    return _stacked([reduced(piece, random) for piece in pieces]), _stacked(pieces)


def reduced(piece: np.ndarray, random: Random) -> np.ndarray:
    """A quarter as wide and high: means of 4×4 pixels, or Lanczos for one in four."""
    image = Image.fromarray(piece)
    if random.random() < BY_LANCZOS:
        size = (image.width // SCALE, image.height // SCALE)
        return np.asarray(image.resize(size, Image.Resampling.LANCZOS))
    return np.asarray(image.reduce(SCALE))


def _piece(pool: Sequence[np.ndarray], side: int, random: Random) -> np.ndarray:
    """A square of a picture ``[side, side, 3]``, turned or mirrored; some in foreign colours, some of two mixed."""
    piece = _crop(random.choice(pool), side, random)
    if random.random() < MIXED:
        share = random.uniform(0.3, 0.7)
        other = _crop(random.choice(pool), side, random)
        piece = (share * piece + (1 - share) * other).astype(np.uint8)
    if random.random() < RECOLOURED:
        piece = recoloured(piece, random)
    return np.ascontiguousarray(np.rot90(piece[:, :: random.choice((1, -1))], random.randrange(4)))


def _crop(source: np.ndarray, side: int, random: Random) -> np.ndarray:
    """The most varied of a few squares."""
    height, width = source.shape[:2]
    corners = [(random.randint(0, height - side), random.randint(0, width - side)) for _ in range(PLACES)]
    return max((source[y : y + side, x : x + side] for y, x in corners), key=lambda piece: float(piece[::4, ::4].std()))


def _stacked(pictures: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


def write(network: nn.Module, path: Path) -> None:
    """The weights as the published file: old-style names and float16."""
    weights = {
        name.replace("RDB", "residual_block_"): value.half().contiguous()
        for name, value in network.state_dict().items()
    }
    write_whole(path, lambda part: torch.save(weights, part))


if __name__ == "__main__":
    main()
