"""What turns a plan's words into texts and tensors: the prompt expander, and the text encoders with their embeddings.

Joins the prompts and conditioning rooms, which do not know each other, with the files of the catalogue.
"""

from __future__ import annotations

from typing import Any

from fooocus_engine.conditioning.text import ReadEmbedding, TextConditioner
from fooocus_engine.endpoints.generate.plan import GenerationPlan
from fooocus_engine.endpoints.resources import Resources
from fooocus_engine.models.catalogue import EXPANSION, Catalogue
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.weights import read_content
from fooocus_engine.prompts.expansion import PromptExpander
from fooocus_engine.prompts.syntax import emphasis


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


def embedding_reader(catalogue: Catalogue, *, shipped: bool) -> ReadEmbedding:
    """Reads textual-inversion files by name; ``shipped`` says that they are for a shipped base model."""

    def read_embedding(name: str) -> Any:
        path = catalogue.find_embedding(name, embedded=shipped)
        return None if path is None else read_content(path)

    return read_embedding
