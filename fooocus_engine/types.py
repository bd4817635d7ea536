"""Nouns that several rooms share: what a plan is made of, and what passes between conditioning, sampling and output.

Everything is frozen. Nothing here loads torch or Pillow; their types are imported for the type checker only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

Weighted = tuple[str, float]  # (file name relative to its models folder, strength)
PIXELS_PER_LATENT = 8  # along a side: every family's autoencoder halves it three times
MODEL_VAE = "Default (model)"
"""What the base checkpoint's own autoencoder is called, by clients and in a picture's record."""


@dataclass(frozen=True)
class ModelChoice:
    """Which files a picture is made with; the cache key of the model store. Names are relative to their folders."""

    base: str
    refiner: str | None = None
    vae: str | None = None
    """A file that replaces the base checkpoint's autoencoder; ``None`` keeps its own."""
    loras: tuple[Weighted, ...] = ()
    """Applied to base and refiner, in this order."""
    base_patches: tuple[Weighted, ...] = ()
    """Applied to the base only, after the LoRAs."""
    finishes_unpatched: bool = True
    """A base with patches and without a refiner leaves its last steps to the plain base."""


@dataclass(frozen=True)
class Sources:
    """The pictures of a request, decoded."""

    image: Image.Image | None = None
    """RGB, upright; for an inpaint grown already where it is outpainted."""
    mask: Image.Image | None = None
    """L, of the size of ``image``: above 127 = repaint. All rules of the request have been applied."""
    controls: tuple[Image.Image, ...] = ()
    """RGB, upright: those that steer besides the words, in the request's order."""


@dataclass(frozen=True)
class ImageTask:
    """The words and the seed of one picture, wildcards, arrays and styles already resolved."""

    index: int
    seed: int
    prompt: str
    """First line with wildcards and arrays resolved: what the expander continues."""
    positive: tuple[str, ...]
    """Texts to encode, in order. Their number is the pooled top-k; an expansion is appended later."""
    negative: tuple[str, ...]
    styles: tuple[str, ...]
    """Names as recorded in metadata: random picks resolved, the expander's name first when it is used."""
    log_positive: str
    log_negative: str
    expand: bool


@dataclass(frozen=True, eq=False)
class UNetCall:
    """What the UNet is told in one call, for those who steer it. Rows are texts; all is in its dtype, on its device."""

    x: Tensor
    """``[B, 4, h, w]``, as scaled for the UNet."""
    timesteps: Tensor
    """``[B]`` float32."""
    cross_attention: Tensor
    added: Mapping[str, Tensor] | None
    """Pooled text and size numbers, under the UNet's names."""


@dataclass(frozen=True, eq=False)
class Residuals:
    """What is added inside the UNet."""

    skips: tuple[Tensor, ...]
    """To the outputs of the input convolution and of every encoder block, in running order."""
    middle: Tensor

    def plus(self, other: Residuals) -> Residuals:
        """Both together."""
        skips = tuple(mine + its for mine, its in zip(self.skips, other.skips, strict=True))
        return Residuals(skips, self.middle + other.middle)


class Control(Protocol):
    """An image that steers the UNet."""

    @property
    def stop(self) -> float:
        """Share of the noise schedule, counted from the noisy end, after which it says nothing more."""

    def residuals(self, call: UNetCall) -> Residuals:
        """What it adds in this call."""


@dataclass(frozen=True)
class Conditioning:
    """What steers the UNet in one direction (positive or negative)."""

    cross_attention: Tensor
    """``[1, 77·k, C]`` float32."""
    pooled: Tensor | None = None
    """``[1, P]`` float32; ``None`` for families without it."""
    size_early: Tensor | None = None
    """``[1, 6]`` (5 for the SDXL refiner): height, width, crop top, crop left, target height, target width."""
    size_late: Tensor | None = None
    early_until: float = 0.0
    """Share of the noise schedule, counted from the noisy end, during which ``size_early`` holds."""
    controls: tuple[Control, ...] = ()
    """The same in both directions."""


@dataclass(frozen=True)
class Margins:
    """Pixels that a picture grows by on each side."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def __bool__(self) -> bool:
        return any((self.top, self.bottom, self.left, self.right))


@dataclass(frozen=True, eq=False)
class Known:
    """What a picture keeps where it is not repainted. Latents are unscaled."""

    latent: Tensor
    """``[1, 4, h/8, w/8]``, in the base's latent space."""
    mask: Tensor
    """``[1, 1, h/8, w/8]`` float32: 1 = repaint, 0 = keep."""
    for_refiner: Tensor | None = None
    """The same picture in the refiner's latent space, where that is another one."""


@dataclass(frozen=True)
class Canvas:
    """Where sampling starts. ``start`` is an unscaled latent ``[1, 4, h/8, w/8]``; ``None`` is an empty one."""

    size: tuple[int, int]
    """(width, height) in pixels."""
    start: Tensor | None = None
    known: Known | None = None
    """``None``: everything is painted."""


@dataclass(frozen=True)
class Step:
    """A solver's report for one noise level, made before its update of ``x`` unless the solver says otherwise."""

    index: int
    total: int
    x: Tensor
    x0: Tensor
    """Estimate of the clean latent, in the model's scale, ``[1, 4, h, w]``."""
    by: Literal["base", "refiner"] = "base"
    """In whose latent space ``x`` and ``x0`` are; solvers leave it to their caller."""


OnStep = Callable[[Step], None]


@dataclass(frozen=True)
class OutputSettings:
    """How a finished picture is written."""

    extension: str
    """``png``, ``jpg``, ``jpeg`` or ``webp``, as the client spelt it."""
    metadata_scheme: str | None
    """``fooocus`` or ``a1111``; ``None`` embeds nothing."""
    name: str
    """Stem asked for by the client; empty = the job's id."""
    with_base64: bool


@dataclass(frozen=True)
class GeneratedImage:
    """A finished picture before it is stored."""

    image: Image.Image
    seed: int
    index: int
    metadata: str | None
    """Text to embed, already in its scheme; ``None`` embeds nothing."""
    blacked_out: bool = False
    """By the safety check."""


@dataclass(frozen=True)
class ImageResult:
    """A stored picture, as the reply tells it."""

    seed: str
    file_name: str
    width: int
    height: int
    base64: str | None = None
    url: str | None = None
    finish_reason: str = "SUCCESS"
    blacked_out: bool = False
