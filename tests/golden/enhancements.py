"""The enhancements among groups H: the row of parts, each compared as a request of its own.

What masks are found is recorded, as the reference was run with fixed ones. So is what a part begins with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from fooocus_engine.endpoints.enhance.contract import EnhanceControl, EnhanceRequest
from fooocus_engine.endpoints.enhance.parts import parts_of, planned, with_words_of
from fooocus_engine.endpoints.enhance.run import Enhancement, planner_of
from fooocus_engine.endpoints.generate.contract import validate_generation
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.endpoints.generate.run import Timer
from fooocus_engine.jobs.job import Job
from fooocus_engine.types import Sources
from tests.golden import repaints, requests
from tests.golden.compare import exact
from tests.golden.records import Record
from tests.golden.workbench import Workbench

CONTROL = (
    "enhance_enabled", "enhance_mask_dino_prompt", "enhance_prompt", "enhance_negative_prompt", "enhance_mask_model",
    "enhance_mask_cloth_category", "enhance_mask_sam_model", "enhance_mask_text_threshold",
    "enhance_mask_box_threshold", "enhance_mask_sam_max_detections", "enhance_inpaint_disable_initial_latent",
    "enhance_inpaint_engine", "enhance_inpaint_strength", "enhance_inpaint_respective_field",
    "enhance_inpaint_erode_or_dilate", "enhance_mask_invert",
)  # fmt: skip
"""Names of a recorded control's values, in their order."""
assert set(CONTROL) == set(EnhanceControl.model_fields)
NUMBERED = re.compile(r"(image|ksampler_|positive_pooled_|negative_pooled_)(\d+)")
ENHANCE = {
    "enh_uov": "enhance_uov_method",
    "enh_order": "enhance_uov_processing_order",
    "enh_prompt_type": "enhance_uov_prompt_type",
}


def errors(record: Record, settings: dict[str, Any], workbench: Workbench) -> Iterator[float]:
    """Of an enhancement: every part, from its words to its picture, upon the recorded picture of the one before."""
    enhancement = asked(record, settings, workbench)
    plans, image = enhancement.plans(), enhancement.image
    yield exact(len(plans), record.data["n_images"])
    words = None
    for number, part in enumerate(enhancement.parts):
        if part.borrows_words and words is not None:
            part = with_words_of(part, words)
        words = part if part.control else words
        sources = Sources(image, the_mask(record) if part.control else None)
        plan = planned(part, sources, planner_of(workbench.resources))
        pictures: list[np.ndarray[Any, Any]] = []
        recorded = part_of(record, number)
        yield from requests.errors(recorded, plan, sources, workbench, pictures.append)
        image = Image.fromarray(handed_on(recorded, pictures[0]))


def handed_on(record: Record, made: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What the next part begins with: the part's recorded picture, or ``made`` where no more than a piece is recorded.

    Bytes are cut from floats, so last bits move some by a level; that is allowed, but one such byte can take the next
    part's latents out of their tolerance (docs/decisions/0055).
    """
    return record.picture("image0") if "image0" in record.png else made


def asked(record: Record, settings: dict[str, Any], workbench: Workbench) -> Enhancement:
    """The record's settings as an enhancement."""
    fields = requests.common_fields(settings, workbench)
    fields |= {ours: settings[theirs] for theirs, ours in ENHANCE.items() if theirs in settings}
    fields["enhance_input_image"] = "taken in"
    fields["enhance_ctrlnets"] = [dict(zip(CONTROL, values, strict=True)) for values in settings["enh_ctrls"]]
    request = validate_generation(
        fields,
        EnhanceRequest,
        default_preset=preset_named("default"),
        styles=workbench.words.styles.legal_names(),
        limits=workbench.resources.settings,
    )
    return Enhancement(
        request,
        parts_of(request, fields),
        repaints.read(record, "image"),
        workbench.resources,
        Job("replay", lambda event: None),
        Timer(),
        lambda image, settings: the_mask(record),
    )


def the_mask(record: Record) -> Image.Image:
    return repaints.read(record, "mask").getchannel(0)


def part_of(record: Record, number: int) -> Record:
    """What is recorded of one part, as if it were a request of its own."""
    content, data = record.content, record.data
    lists = ("log", "positive", "negative", "process_diffusion", "ksampler_calls", "shapes")
    own = {name: data[name][number : number + 1] for name in lists if name in data}
    return Record(
        record.group,
        content
        | {
            "outputs": renumbered(content["outputs"], number),
            "png": renumbered(record.png, number),
            "data": data | own,
        },
    )


def renumbered(named: dict[str, Any], number: int) -> dict[str, Any]:
    """Entries of part ``number`` under the names of the first one's; what has no number is the first one's."""
    found = {name: NUMBERED.match(name) for name in named}
    own = {
        match[1] + "0" + name[match.end() :]: named[name]
        for name, match in found.items()
        if match and match[2] == str(number)
    }
    return own | ({name: named[name] for name, match in found.items() if not match} if number == 0 else {})
