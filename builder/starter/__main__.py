"""``python -m builder.starter``: the whole training, one stage after another, resumable at any time.

Each stage is a module of its own that goes on where it was stopped; one that is done only writes its files. Stops at
the first stage that fails.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from builder.starter.training import new_parser

AUTOENCODER = (
    ("teacher", "--steps", "2500"),
    ("decoder", "--steps", "8000"),
    ("joint", "--steps", "3500", "--batch", "8", "--side", "96"),
    ("polish", "--steps", "3000", "--batch", "8", "--side", "96"),
    ("encoder", "--steps", "1500", "--batch", "8", "--side", "96"),
)
WORKERS = 2
DIFFUSION = ("--steps", "25800", "--sizes-from", "13200", "--decay-from", "20600")
COMPANIONS = (
    ("train_preview",),
    ("train_upscaler", "--steps", "4000"),
    ("train_style", "--steps", "3000"),
    ("train_few_steps", "--for", "lcm", "--steps", "6000"),
    ("train_few_steps", "--for", "lightning", "--steps", "6000"),
    ("train_few_steps", "--for", "hyper", "--steps", "6000"),
    ("train_control", "--steps", "4000"),
    ("train_adapter", "--steps", "9000"),
)
ANYWHERE = ("train_style", "train_few_steps", "train_control", "train_adapter")
"""Stages that also learn on a GPU; the others are of the processor."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = new_parser("__main__", __doc__)
    made.prog = "python -m builder.starter"
    listed = (" ".join(stage) for stage in stages(Path("WORK"), Path("MODELS"), WORKERS, "DEVICE", 1))
    made.epilog = "\n  python -m builder.starter.".join(("stages:", *listed))
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    made.add_argument("--workers", type=int, default=WORKERS, help="of the diffusion; one core each")
    made.add_argument("--device", default="cpu", help="of those stages that take one; %(default)s")
    made.add_argument("--painters", type=int, default=1, help="processes that draw pictures for those; %(default)s")
    return made


def main() -> None:
    """Run what is not done yet."""
    given = parser().parse_args()
    for module, *arguments in stages(given.work, given.models, given.workers, given.device, given.painters):
        subprocess.run([sys.executable, "-m", f"builder.starter.{module}", *arguments], check=True)


def stages(work: Path, models: Path, workers: int, device: str, painters: int) -> Iterator[tuple[str, ...]]:
    """Module and arguments of each stage, in order."""
    at_work, into = ("--work", str(work)), ("--models", str(models))
    for stage in AUTOENCODER:
        yield "train_autoencoder", *stage, *at_work
    yield "train_diffusion", *DIFFUSION, "--workers", str(workers), *at_work
    yield "export", *at_work, *into
    for companion in COMPANIONS:
        where = ("--device", device, "--painters", str(painters)) if companion[0] in ANYWHERE else ()
        yield *companion, *at_work, *into, *where


if __name__ == "__main__":
    main()
