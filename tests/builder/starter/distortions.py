"""Pictures of the small world made worse, seeded: soft and wavy edges, noise and compression, as painted pictures are.

Lengths are in pixels of a picture whose shorter side is 192, and shrink or grow with it.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import cv2
import numpy as np
from PIL import Image, ImageFilter

SOFTNESS = (1.0, 2.0)  # deviation of the blur
WAVES = (1.0, 2.0)  # root mean square of the displacement
WAVE_LENGTH = 7.0  # deviation of the window that makes the displacement smooth
NOISE = 3.0  # levels
QUALITY = 60  # of the JPEG

Distortion = Callable[[Image.Image, int], Image.Image]
"""Picture and seed to picture."""


def untouched(image: Image.Image, seed: int) -> Image.Image:
    """As it is."""
    return image


def blurred(image: Image.Image, seed: int) -> Image.Image:
    """With soft edges."""
    return image.filter(ImageFilter.GaussianBlur(np.random.default_rng(seed).uniform(*SOFTNESS) * _scale(image)))


def wavy(image: Image.Image, seed: int) -> Image.Image:
    """With every point a little displaced, neighbours alike."""
    random = np.random.default_rng(seed)
    scale = _scale(image)
    field = random.normal(0, 1, (image.height, image.width, 2)).astype(np.float32)
    field = np.asarray(cv2.GaussianBlur(field, (0, 0), WAVE_LENGTH * scale), np.float32)
    field *= random.uniform(*WAVES) * scale / np.sqrt(np.square(field).sum(-1).mean())
    rows, columns = np.mgrid[: image.height, : image.width].astype(np.float32)
    moved = cv2.remap(
        np.asarray(image), columns + field[..., 0], rows + field[..., 1], cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE
    )
    return Image.fromarray(moved)


def painted(image: Image.Image, seed: int) -> Image.Image:
    """Wavy, blurred, noisy, and compressed."""
    random = np.random.default_rng(seed)
    pixels = np.asarray(blurred(wavy(image, seed), seed), np.float32)
    pixels = pixels + random.normal(0, NOISE, pixels.shape) + random.normal(0, NOISE, 3)
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8)).save(file, "JPEG", quality=QUALITY)
    return Image.open(file).convert("RGB")


DISTORTIONS: Mapping[str, Distortion] = {"blurred": blurred, "wavy": wavy, "painted": painted}


def _scale(image: Image.Image) -> float:
    return min(image.size) / 192
