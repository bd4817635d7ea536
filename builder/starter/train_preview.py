"""``python -m builder.starter.train_preview``: the small decoder of step previews, in the layout of ``xlvaeapp.pth``.

Learns pictures of a quarter of the size from the teacher's latents; minutes of one core.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from torch.nn import functional as F

from builder.starter.autoencoder import LATENT_NOISE
from builder.starter.model import NATIVE
from builder.starter.pictures import draw_pool, to_tensor
from builder.starter.progress import Log
from builder.starter.train_autoencoder import load_parts
from fooocus_engine.models.preview import PreviewNetwork

NAME = "xlvaeapp.pth"
RATE, BATCH = 2e-3, 16


def main() -> None:
    """Train and write the file."""
    parser = argparse.ArgumentParser(prog="python -m builder.starter.train_preview", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/starter"), help="where the autoencoder lies")
    parser.add_argument("--models", type=Path, default=Path("build/starter/models"), help="a models folder")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--pool", type=int, default=2000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    network = train(given)
    target = given.models / "vae_approx" / NAME
    target.parent.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), target)


def train(given: argparse.Namespace) -> PreviewNetwork:
    """The network after so many steps."""
    teacher = load_parts(given.work / "autoencoder.pt")[0].teacher.eval()
    pool = [picture for _, picture in draw_pool(21, given.pool, (NATIVE,))]
    torch.manual_seed(2)
    network = PreviewNetwork()
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE)
    random, log = Random(22), Log(given.work / "preview.csv")
    for step in range(given.steps):
        for group in optimiser.param_groups:
            group["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / given.steps))
        image = to_tensor(random.sample(pool, BATCH))
        with torch.no_grad():
            latent = teacher(image)
            latent = latent + LATENT_NOISE * torch.randn_like(latent)
        loss = preview_loss(network(latent), image)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        log.add(step, loss=float(loss.detach()))
        if step % 100 == 99:
            log.flush()
    return network


def preview_loss(made: Tensor, image: Tensor) -> Tensor:
    """Mean absolute difference of ``made [B, 3, h/4, w/4]`` and ``image [B, 3, h, w]`` reduced to that size."""
    return F.l1_loss(made, F.avg_pool2d(image, 4))


if __name__ == "__main__":
    main()
