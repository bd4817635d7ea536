"""How a mask is found: settled values, and the files that it takes. No torch.

What is named here is what clients may write (api.md §3.10); ``generate-mask`` and enhance share it.
"""

from __future__ import annotations

from dataclasses import dataclass

from fooocus_engine.models.vision_files import BACKGROUNDS, DETECTOR, SEGMENTERS, WORDS, File

BY_WORDS = "sam"
"""The mask model that is told in words what to look for."""
CLOTHES_MODEL = "u2net_cloth_seg"
MASK_MODELS = (*BACKGROUNDS, BY_WORDS)
CLOTHES = ("full", "upper", "lower")
MOST_DETECTIONS = 10


@dataclass(frozen=True)
class MaskSettings:
    """One search. Fields that the model does not use are of no effect."""

    model: str
    cloth: str = CLOTHES[0]
    words: str = ""
    """What to look for; needed by ``sam`` alone, as all below."""
    segmenter: str = "vit_b"
    box_threshold: float = 0.3
    most: int = 0
    """How many finds make the mask; 0 = all."""
    grow: int = 0
    """Pixels that the boxes around the finds are grown by; shrunk if negative."""
    boxes_only: bool = False
    """The boxes themselves are the mask."""


def files_of(settings: MaskSettings) -> tuple[File, ...]:
    """What must be installed."""
    if settings.model != BY_WORDS:
        return (BACKGROUNDS[settings.model],)
    found = (DETECTOR, WORDS)
    return found if settings.boxes_only else (*found, SEGMENTERS[settings.segmenter])
