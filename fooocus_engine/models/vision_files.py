"""Files of the networks that look at pictures: (models folder, name) as published (image-tools.md, models.md §2.2).

No torch. What a file is loaded as is the vision room's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fooocus_engine.models.catalogue import BERT_TOKENIZER, CLIP_VISION, INPAINT, SAFETY_CHECKER, SAM

File = tuple[str, str]

WORDS: File = (BERT_TOKENIZER, "vocab.txt")
"""BERT's lower-case vocabulary: of the captioner and of the detector."""
CAPTIONER: File = (CLIP_VISION, "model_base_caption_capfilt_large.pth")
TAGGER: File = (CLIP_VISION, "wd-v1-4-moat-tagger-v2.onnx")
TAGS: File = (CLIP_VISION, "wd-v1-4-moat-tagger-v2.csv")
CHECKER: File = (SAFETY_CHECKER, "stable-diffusion-safety-checker.bin")
DETECTOR: File = (INPAINT, "groundingdino_swint_ogc.pth")
SEGMENTERS: Mapping[str, File] = MappingProxyType(
    {
        "vit_b": (SAM, "sam_vit_b_01ec64.pth"),
        "vit_l": (SAM, "sam_vit_l_0b3195.pth"),
        "vit_h": (SAM, "sam_vit_h_4b8939.pth"),
    }
)
BACKGROUNDS: Mapping[str, File] = MappingProxyType(
    {
        name: (INPAINT, f"{name}.onnx")
        for name in (
            "u2net", "u2netp", "u2net_human_seg", "u2net_cloth_seg", "silueta", "isnet-general-use", "isnet-anime",
        )
    }
)  # fmt: skip
"""Mask model → network of the rembg family."""
