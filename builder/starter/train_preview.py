"""``python -m builder.starter.train_preview``: the small decoder of step previews, in the layout of ``xlvaeapp.pth``.

Learns pictures of a quarter of the size from the teacher's latents; minutes of one core.
"""

from __future__ import annotations

import argparse
from functools import cache
from random import Random

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from builder.starter.autoencoder import LATENT_NOISE, load_teacher
from builder.starter.model import NATIVE
from builder.starter.pictures import draw_pool, to_tensor
from builder.starter.training import Course, State, cosine, fingerprint, new_parser, run, write_whole
from fooocus_engine.models.catalogue import VAE_APPROX
from fooocus_engine.models.preview import PreviewNetwork

NAME = "xlvaeapp.pth"
RATE, BATCH = 2e-3, 16


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = new_parser("train_preview", __doc__)
    made.add_argument("--steps", type=int, default=1500)
    made.add_argument("--pool", type=int, default=2000)
    return made


def main() -> None:
    """Train and write the file."""
    torch.set_num_threads(1)
    train(parser().parse_args())


def train(given: argparse.Namespace) -> None:
    """Steps until the last one, then the file.

    Raises:
        StaleState: the work folder's decoder was learned from another teacher.
    """
    teacher = load_teacher(given.work)
    torch.manual_seed(2)
    network = PreviewNetwork()
    parts = {"network": network.state_dict()}
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE)
    state = State(given.work / "preview.pt", parts, optimiser, base=fingerprint(teacher.state_dict()))
    seed = state.seed(22)
    random = Random(seed)

    @cache
    def pool() -> list[np.ndarray]:
        return [picture for _, picture in draw_pool(21, given.pool, (NATIVE,))]

    @cache
    def kept() -> Tensor:
        return to_tensor([picture for _, picture in draw_pool(8, 64, (NATIVE,), processes=1)])

    def error(image: Tensor) -> Tensor:
        latent = teacher(image)
        return preview_loss(network(latent + LATENT_NOISE * torch.randn_like(latent)), image)

    def measured() -> dict[str, float]:
        with torch.no_grad():
            return {"valid": float(error(kept()))}

    course = Course(
        loss=lambda: error(to_tensor(random.sample(pool(), BATCH))),
        rate=cosine,
        measured=measured,
        seed=seed,
        write=lambda: write_whole(
            given.models / VAE_APPROX / NAME, lambda path: torch.save(network.state_dict(), path)
        ),
    )
    run(state, given.steps, course)


def preview_loss(made: Tensor, image: Tensor) -> Tensor:
    """Mean absolute difference of ``made [B, 3, h/4, w/4]`` and ``image [B, 3, h, w]`` reduced to that size."""
    return F.l1_loss(made, F.avg_pool2d(image, 4))


if __name__ == "__main__":
    main()
