"""One UNet with its two Conditionings as a function ``(x, sigma) -> Estimates``.

Knows how a batch is laid out, which size numbers hold when, and where float32 ends. Everything that stays the same
from step to step is prepared once. Knows nothing of guidance, solvers or schedules.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.image_attention import ImagePrompt, Looked, Side, looking_at
from fooocus_engine.sampling.model_sampling import LAST_TIMESTEP, ModelSampling
from fooocus_engine.types import Conditioning, Control, Residuals, UNetCall

MAX_REPETITION = 4  # texts repeated more often than this to equal length are cheaper apart (prompt.md §16)


@dataclass(frozen=True, eq=False)
class Stage:
    """A model and the two Conditionings made for it."""

    model: DiffusionModel
    positive: Conditioning
    negative: Conditioning
    interposer: Callable[[Tensor], Tensor] | None = None
    """Turns the base's unscaled latents into this model's, where the two differ."""
    image_prompts: tuple[ImagePrompt, ...] = ()
    """Pictures to look at, made for this model; a refiner has none (image-control.md §4.4)."""


@dataclass(frozen=True, eq=False)
class Estimates:
    """What one UNet call says about the clean latent, ``[1, 4, h, w]`` float32 each."""

    positive: Tensor
    negative: Tensor | None
    """``None`` when guidance does not need it."""
    progress: float
    """0 = pure noise, 1 = done; as coarse as the UNet's dtype."""


PairDenoiser = Callable[[Tensor, float], Estimates]


@dataclass(frozen=True, eq=False)
class _Batch:
    """What the UNet is told besides the latent. Rows are texts; tensors are on its device, in its dtype."""

    cross_attention: Tensor
    pooled: Tensor | None
    size_early: Tensor | None
    size_late: Tensor | None
    early_until: float
    controls: tuple[Control, ...]
    pictures: tuple[tuple[ImagePrompt, Looked], ...]
    """Image prompts with their keys and values for these rows."""

    def active(self, timestep: float) -> list[Looked]:
        """What is looked at besides the text at this timestep."""
        done = 1 - timestep / LAST_TIMESTEP
        return [looked for prompt, looked in self.pictures if prompt.is_active(done)]

    def added(self, timestep: float) -> dict[str, Tensor] | None:
        """Pooled text and size numbers at this timestep (sampling.md §7.3); ``None`` for families without."""
        size = self.size_early if is_early(timestep, self.early_until) else self.size_late
        return None if self.pooled is None or size is None else {"text_embeds": self.pooled, "time_ids": size}


class UNetDenoiser:
    """A PairDenoiser. Without ``with_negative`` only the positive text is asked."""

    def __init__(self, stage: Stage, sampling: ModelSampling, *, with_negative: bool) -> None:
        self._model, self._sampling = stage.model, sampling
        self._batches = _batches(stage, with_negative=with_negative)

    def __call__(self, x: Tensor, sigma: float) -> Estimates:
        """Estimates of the clean latent in ``x [1, 4, h, w]``, float32 in and out."""
        timestep = self._sampling.timestep(sigma)
        scaled = self._sampling.scale_input(x, sigma).to(self._model.dtype)
        outputs = [self._output(scaled, timestep, sigma, batch) for batch in self._batches]
        rows = [row[None].float() for output in outputs for row in output]
        *negative, positive = (self._sampling.denoised(x, row, sigma) for row in rows)
        return Estimates(positive, negative[0] if negative else None, progress(timestep, self._model.dtype))

    @torch.no_grad()
    def _output(self, scaled: Tensor, timestep: float, sigma: float, batch: _Batch) -> Tensor:
        rows = len(batch.cross_attention)
        timesteps = torch.full((rows,), timestep, dtype=torch.float32, device=scaled.device)
        call = UNetCall(scaled.expand(rows, -1, -1, -1), timesteps, batch.cross_attention, batch.added(timestep))
        residuals = self._residuals(call, sigma, batch.controls)
        with looking_at(self._model.unet, batch.active(timestep)):
            output: tuple[Tensor] = self._model.unet(
                call.x,
                call.timesteps,
                encoder_hidden_states=call.cross_attention,
                added_cond_kwargs=call.added,
                down_block_additional_residuals=residuals.skips if residuals else None,
                mid_block_additional_residual=residuals.middle if residuals else None,
                return_dict=False,
            )
        return output[0]

    def _residuals(self, call: UNetCall, sigma: float, controls: tuple[Control, ...]) -> Residuals | None:
        """The sum over the controls that still speak at this noise level (image-control.md §3); ``None`` = none."""
        said = [
            control.residuals(call) for control in controls if sigma >= self._sampling.percent_to_sigma(control.stop)
        ]
        return reduce(Residuals.plus, said) if said else None


def is_early(timestep: float, early_until: float) -> bool:
    """Whether the emphasised size holds: during a share ``early_until`` of the way from the noisy end (§7.3)."""
    return timestep > LAST_TIMESTEP * (1 - early_until)


def progress(timestep: float, dtype: torch.dtype) -> float:
    """Share of the way from noise to picture, with the rounding of the UNet's ``dtype`` (sampling.md §7)."""
    return float(1 - torch.tensor(timestep, dtype=dtype) / LAST_TIMESTEP)


def _batches(stage: Stage, *, with_negative: bool) -> list[_Batch]:
    """The calls of one step: both texts in one, negative first, unless their lengths differ too oddly."""
    if not with_negative:
        return [_batch(stage, ["positive"])]
    lengths = [text.cross_attention.shape[1] for text in (stage.negative, stage.positive)]
    if math.lcm(*lengths) > MAX_REPETITION * min(lengths):
        return [_batch(stage, ["negative"]), _batch(stage, ["positive"])]
    return [_batch(stage, ["negative", "positive"])]


def _batch(stage: Stage, sides: list[Side]) -> _Batch:
    model = stage.model
    texts = [stage.positive if side == "positive" else stage.negative for side in sides]
    length = math.lcm(*(text.cross_attention.shape[1] for text in texts))
    # Attention to a repeated text is the same as to the text, unless there are image prompts: then a repeated text gets
    # more of the softmax, in the reference too.
    repeated = [text.cross_attention.repeat(1, length // text.cross_attention.shape[1], 1) for text in texts]

    def stacked(rows: list[Tensor | None], dtype: torch.dtype) -> Tensor | None:
        present = [row for row in rows if row is not None]
        return torch.cat(present).to(model.device, dtype) if present else None

    return _Batch(
        torch.cat(repeated).to(model.device, model.dtype),
        stacked([text.pooled for text in texts], model.dtype),
        # Size numbers stay float32: half precision cannot hold all of them.
        stacked([text.size_early for text in texts], torch.float32),
        stacked([text.size_late for text in texts], torch.float32),
        texts[-1].early_until,
        texts[-1].controls,
        tuple((prompt, prompt.rows(sides)) for prompt in stage.image_prompts),
    )
