"""What turns a plan's words and pictures into texts and tensors: prompt expander, text encoders, image prompters.

Joins the prompts and conditioning rooms, which do not know each other, with the files of the catalogue.
"""

from __future__ import annotations

from typing import Any

from fooocus_engine.conditioning.image_prompt import ImagePrompter
from fooocus_engine.conditioning.text import ReadEmbedding, TextConditioner
from fooocus_engine.endpoints.generate.plan import GenerationPlan
from fooocus_engine.endpoints.resources import Resources
from fooocus_engine.models.catalogue import (
    CLIP_VISION,
    CONTROLNET,
    EXPANSION,
    FACE_DETECTOR,
    PROMPT_NEGATIVE,
    VISION_TOWER,
    Catalogue,
)
from fooocus_engine.models.control_lora import ControlLora, ControlNetwork
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.ip_adapter import load_adapter, load_negative, require_fit
from fooocus_engine.models.store import version_of
from fooocus_engine.models.vision_tower import VisionTower
from fooocus_engine.models.weights import read_content
from fooocus_engine.prompts.expansion import PromptExpander
from fooocus_engine.prompts.syntax import emphasis
from fooocus_engine.vision.faces import FaceFinder


def prompt_expander(plan: GenerationPlan, resources: Resources) -> PromptExpander | None:
    """The expander if a picture of the plan wants it.

    Raises:
        BadModelFile, ModelUnavailable: it is installed in part, or damaged.
    """
    if not any(task.expand for task in plan.images):
        return None
    folder = resources.catalogue.folder(EXPANSION, embedded=resources.catalogue.is_embedded(plan.models.base))
    return resources.store.resident(folder, lambda target: PromptExpander.load(folder, target.device))


def text_conditioner(plan: GenerationPlan, base: DiffusionModel, resources: Resources) -> TextConditioner:
    """The base model's text encoders at the plan's clip skip, finding embeddings in the models folder."""
    if base.text is None:
        raise ValueError("a base model has text encoders")
    reader = embedding_reader(resources.catalogue, shipped=resources.catalogue.is_embedded(plan.models.base))
    return TextConditioner(base.text, clip_skip=plan.clip_skip, parse=emphasis, read_embedding=reader)


def image_prompter(name: str, base: str, unet: Any, resources: Resources) -> ImagePrompter:
    """The image-prompt adapter ``name`` with what all adapters share, for ``unet``, that of the checkpoint ``base``.

    Raises:
        ModelUnavailable: a file is not installed.
        BadModelFile: a file cannot be used, or the adapter is for another kind of base model.
    """
    shipped, store = resources.catalogue.is_embedded(base), resources.store
    vision = resources.catalogue.find(CLIP_VISION, VISION_TOWER, embedded=shipped)
    layers, negative = (
        resources.catalogue.find(CONTROLNET, file, embedded=shipped) for file in (name, PROMPT_NEGATIVE)
    )
    adapter = store.resident(version_of(layers), lambda target: load_adapter(layers, target.device, target.dtype))
    require_fit(adapter, unet, name)
    return ImagePrompter(
        store.resident(version_of(vision), lambda target: VisionTower.load(vision, target.device, target.dtype)),
        adapter,
        store.resident(version_of(negative), lambda target: load_negative(negative, target.device, target.dtype)),
        separate=resources.settings.image_prompt_attention == "separate",
    )


def control_network(name: str, choice: str, base: DiffusionModel, resources: Resources) -> ControlNetwork:
    """The control-LoRA ``name`` upon ``base``, whatever is merged into it, made from the checkpoint ``choice``.

    Raises:
        ModelUnavailable: its file is not installed.
        BadModelFile: it cannot be used, or is for another kind of base model.
    """
    path = resources.catalogue.find(CONTROLNET, name, embedded=resources.catalogue.is_embedded(choice))
    lora = resources.store.resident(
        version_of(path), lambda target: ControlLora.load(path, target.device, target.dtype)
    )
    return ControlNetwork.upon(base, lora)


def face_finder(base: str, resources: Resources) -> FaceFinder:
    """What finds faces in pictures for the checkpoint ``base``.

    Raises:
        ModelUnavailable, BadModelFile: its file is missing or cannot be used.
    """
    path = resources.catalogue.find(CONTROLNET, FACE_DETECTOR, embedded=resources.catalogue.is_embedded(base))
    return resources.store.resident(version_of(path), lambda target: FaceFinder.load(path))


def embedding_reader(catalogue: Catalogue, *, shipped: bool) -> ReadEmbedding:
    """Reads textual-inversion files by name; ``shipped`` says that they are for a shipped base model."""

    def read_embedding(name: str) -> Any:
        path = catalogue.find_embedding(name, embedded=shipped)
        return None if path is None else read_content(path)

    return read_embedding
