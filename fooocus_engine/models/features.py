"""What a bake can be asked for, by the words with which the catalogue says what needs a file. No torch.

Read by the bake, and to tell whoever misses a file how to get it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

ALWAYS = "every generation"
PRESET = "preset:"
"""Begins the word for what a preset needs."""
FEATURES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "preview": ("preview",),
        "speed": ("performance:Extreme Speed", "performance:Lightning", "performance:Hyper-SD"),
        "upscale": ("upscale",),
        "inpaint": ("inpaint", "inpaint:v2.6"),
        "inpaint-old": ("inpaint", "inpaint:v1", "inpaint:v2.5"),
        "control": ("control:PyraCanny", "control:CPDS"),
        "image-prompt": ("control:ImagePrompt",),
        "face-swap": ("control:FaceSwap",),
        "describe": ("describe:Photo", "describe:Anime"),
        "expansion": ("style:Fooocus V2",),
        "mask": (
            "mask:u2net", "mask:u2netp", "mask:u2net_human_seg", "mask:u2net_cloth_seg", "mask:silueta",
            "mask:isnet-general-use", "mask:isnet-anime",
        ),
        "mask-sam": ("mask:sam",),
        "nsfw": ("black_out_nsfw",),
        "sd15-refiner": ("refiner:sd15",),
        "reference-words": ("reference words",),
    }
)  # fmt: skip
"""Feature of a bake → the catalogue's ``needed_by`` words."""


def bake_of(needed_by: Iterable[str]) -> str | None:
    """The feature or preset of a bake that has what is ``needed_by`` these, in words; ``None`` where none has."""
    words = tuple(needed_by)
    features = (f"feature {name!r}" for name, needing in FEATURES.items() if not set(needing).isdisjoint(words))
    presets = (f"preset {word.removeprefix(PRESET)!r}" for word in words if word.startswith(PRESET))
    return next(features, None) or next(presets, None) or ("any preset" if ALWAYS in words else None)
