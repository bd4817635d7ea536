"""Picture sizes as clients write and read them: ``W*H`` strings to ``(width, height)`` pixels and back. No torch.

Knows the limits of a requested size (api.md §2.2) and the list the reference offers; not how sizes are rounded later.
"""

from __future__ import annotations

import math
import re

from fooocus_engine.errors import shortened

MIN_SIDE = 64  # pixels
MAX_SIDE = 2048  # pixels
ASPECT_RATIOS = (
    "704*1408", "704*1344", "768*1344", "768*1280", "832*1216", "832*1152", "896*1152", "896*1088", "960*1088",
    "960*1024", "1024*1024", "1024*960", "1088*960", "1088*896", "1152*896", "1152*832", "1216*832", "1280*768",
    "1344*768", "1344*704", "1408*704", "1472*704", "1536*640", "1600*640", "1664*576", "1728*576",
)  # fmt: skip
"""The sizes the reference's page offers; any other size within the limits is allowed too (api.md §3.2)."""

# Two whole numbers around a times sign. Any label may follow, as "(9:7)", ", 9:7" or "px", but not what makes the
# second number another one (a fraction, an exponent), nor a third factor.
_NO_LABEL = r"[0-9]|[.,][0-9]|[eE][+-]?[0-9]|\s*[*×]|\s*[xX]\s*[0-9]"
_SIZE = re.compile(rf"\s*([0-9]{{1,6}})\s*[*×xX]\s*([0-9]{{1,6}})(?!{_NO_LABEL}).*", re.DOTALL)


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) in pixels of ``W*H``, ``W×H`` or ``WxH``, spaces and a trailing label allowed.

    Raises:
        ValueError: another form, or a side outside 64–2048; the message says what is allowed.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{shortened(text)!r} is not a size; write W*H, for example 1152*896")
    width, height = int(match[1]), int(match[2])
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
        raise ValueError(f"{width}*{height} is out of range; width and height go from {MIN_SIDE} to {MAX_SIDE}")
    return width, height


def format_size(size: tuple[int, int]) -> str:
    """``(width, height)`` in the one spelling the house uses: ``W*H``."""
    return f"{size[0]}*{size[1]}"


def size_lines(size: tuple[int, int]) -> str:
    """What the reference's page tells of a picture's size, and of the nearest of the sizes it offers (image.md §1)."""
    ratio = round(size[0] / size[1], 2)
    nearest = min(map(parse_size, ASPECT_RATIOS), key=lambda offered: abs(offered[0] / offered[1] - ratio))
    return "\n".join(_size_line(*shown) for shown in (size, nearest))


def _size_line(width: int, height: int) -> str:
    common = math.gcd(width, height)
    return f"{width} x {height}, {round(width / height, 2)}, {width // common}:{height // common}"
