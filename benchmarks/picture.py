"""A 30-step 512×512 `Speed` picture of the shipped model, against the bare UNet calls and the decode in it.

Both run in turn in the same process, so that a noisy machine disturbs both alike.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import report, seconds
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.engine import Engine
from fooocus_engine.jobs.job import Job
from fooocus_engine.sampling.sharpness import joint_bilateral
from fooocus_engine.settings import Settings
from fooocus_engine.types import ModelChoice

STEPS = 30
SIDE = 512  # pixels
LATENT = SIDE // 8
PRESET = "starter"
REQUEST = {
    "endpoint": "text-to-image",
    "preset": PRESET,
    "prompt": "a photo of a red cat in the forest",
    "negative_prompt": "blurry, dark sea",
    "aspect_ratios_selection": f"{SIDE}*{SIDE}",
    "image_seed": 1001,
}


def run(rounds: int) -> None:
    """Measure and print."""
    engine = Engine(Settings(models_dir=Path("models-of-nobody"), device="cpu"))
    engine.warm_up()
    with engine.resources.store.prepared(ModelChoice(preset_named(PRESET).base_model_name)) as prepared:
        base = prepared.base
    bare = Bare(base)
    make(engine, 2.0)  # warm both before any is timed
    bare.picture()
    times: dict[str, list[float]] = {"bare": [], "calls": [], "plain": [], "sharp": []}
    for _ in range(rounds):
        times["bare"].append(seconds(bare.picture))
        times["plain"].append(seconds(lambda: make(engine, 0.0)))
        times["calls"].append(seconds(bare.unet_calls))
        times["sharp"].append(seconds(lambda: make(engine, 2.0)))
    filters = statistics.median(seconds(filter_calls) for _ in range(rounds))
    middle = {name: statistics.median(values) for name, values in times.items()}
    report(
        f"A {STEPS}-step {SIDE}x{SIDE} picture, {torch.get_num_threads()} threads, median of {rounds}",
        [
            ("(b) whole request, sharpness 2", f"{middle['sharp']:.2f} s"),
            ("(b) whole request, sharpness 0", f"{middle['plain']:.2f} s"),
            (f"(c) {STEPS} bare UNet calls and one decode", f"{middle['bare']:.2f} s"),
            ("b/c, sharpness 2", f"{middle['sharp'] / middle['bare']:.3f}"),
            ("b/c, sharpness 0 (aim 1.15)", f"{middle['plain'] / middle['bare']:.3f}"),
            ("all filter calls over all UNet calls (aim 4 %)", f"{100 * filters / middle['calls']:.2f} %"),
        ],
    )


def make(engine: Engine, sharpness: float) -> Any:
    """One request through the engine."""
    return engine.run({**REQUEST, "sharpness": sharpness}, Job("bench", lambda event: None))


class Bare:
    """What the picture cannot do without, called on the library's modules alone."""

    def __init__(self, base: Any) -> None:
        self._unet, self._vae = base.unet, base.codec.vae
        width = base.unet.config.cross_attention_dim
        pooled = base.unet.config.projection_class_embeddings_input_dim - 6 * 256
        self._x = torch.randn(2, 4, LATENT, LATENT)
        self._text = torch.randn(2, 77, width)
        self._added = {"text_embeds": torch.randn(2, pooled), "time_ids": torch.full((2, 6), float(SIDE))}

    @torch.inference_mode()
    def unet_calls(self) -> None:
        """As many calls as the picture takes, positive and negative in one batch."""
        for step in range(STEPS):
            timestep = torch.full((2,), 999.0 - 33 * step)
            self._unet(self._x, timestep, encoder_hidden_states=self._text, added_cond_kwargs=self._added)

    @torch.inference_mode()
    def picture(self) -> None:
        """The calls and one decode."""
        self.unet_calls()
        self._vae.decode(self._x[:1])


@torch.inference_mode()
def filter_calls() -> None:
    """The sharpness filter as often as a picture calls it."""
    x, guide = torch.randn(1, 4, LATENT, LATENT), torch.randn(1, 4, LATENT, LATENT)
    for _ in range(STEPS):
        joint_bilateral(x, guide)
