"""Replays group D: words in, words and tensors out."""

from __future__ import annotations

import random
from typing import Any

from fooocus_engine.conditioning.text import TextConditioner
from fooocus_engine.endpoints.generate.encoders import embedding_reader
from fooocus_engine.endpoints.generate.performance import MODES, Performance
from fooocus_engine.errors import EngineError
from fooocus_engine.models.catalogue import EXPANSION
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.prompts.expansion import PromptExpander
from fooocus_engine.prompts.syntax import choose_arrays, emphasis, merged_loras, safe_str, take_inline_loras
from fooocus_engine.prompts.workload import PromptRequest, Workload, assemble
from tests.golden.compare import exact, tensor_error
from tests.golden.records import Record
from tests.golden.workbench import Workbench

MAX_LORAS = 5
DEFAULT_STYLES = ("Fooocus V2", "Fooocus Enhance", "Fooocus Sharp")


def replay(record: Record, workbench: Workbench) -> float | None:
    """Largest error of a record of group D."""
    match record.kind:
        case "conditioning":
            return conditioning(record, workbench)
        case "tokens":
            return exact(tokens(record, workbench), record.data)
        case "safe_str":
            return exact(safe_str(record.settings["text"]), record.data)
        case "arrays":
            return exact(choose_arrays(record.settings["text"], record.settings["index"]), record.data)
        case "wildcards":
            return exact(wildcards(record, workbench), record.data)
        case "inline_lora":
            return exact(inline_loras(record), record.data)
        case "styles":
            entries = workbench.words.styles.entries
            return exact(
                [[s.name, [s.prompt, s.negative_prompt]] for s in entries], [list(i) for i in record.data.items()]
            )
        case "apply_style":
            lines = workbench.words.styles.find(record.settings["style"]).apply(record.settings["positive"])
            return exact([list(lines.positive), list(lines.negative), lines.holds_prompt], record.data)
        case "random_style":
            rng = random.Random(record.settings["rng_seed"])
            return exact([workbench.words.styles.draw(rng).name for _ in record.data], record.data)
        case "workload":
            return exact(comparable(workload(record, workbench)), comparable(record.data))
        case "expansion":
            text = expander(workbench).expand(record.settings["prompt"], record.settings["seed"])
            return exact(text, record.data["result"])
        case _:
            return None


def conditioner(workbench: Workbench, clip_skip: int, model: DiffusionModel | None = None) -> TextConditioner:
    """Encodes with ``model``, by default the plain base."""
    text = (model or workbench.prepared().base).text
    assert text is not None
    reader = embedding_reader(workbench.resources.catalogue, shipped=False)
    return TextConditioner(text, clip_skip=clip_skip, parse=emphasis, read_embedding=reader)


def conditioning(record: Record, workbench: Workbench) -> float:
    settings, tolerance = record.settings, record.group.tolerance
    cond, pooled = conditioner(workbench, settings["clip_skip"]).encode(settings["texts"], settings["pool_top_k"])
    allowed = {"absolute": tolerance["conditioning_abs"], "relative": tolerance["conditioning_rel"]}
    return max(
        tensor_error(cond, record.output("cond"), **allowed), tensor_error(pooled, record.output("pooled"), **allowed)
    )


def tokens(record: Record, workbench: Workbench) -> dict[str, Any]:
    """Chunks of both encoders in the recordings' form: vectors of embeddings are called ``emb``."""
    text = workbench.prepared().base.text
    assert text is not None and text.clip_l is not None and text.clip_g is not None
    segments = emphasis(record.settings["text"])
    conditions = conditioner(workbench, 2)
    found = {}
    for short, name, encoder in (("l", "clip_l", text.clip_l), ("g", "clip_g", text.clip_g)):
        found[short] = [
            {
                "ids": [token if isinstance(token, int) else "emb" for token in chunk.tokens],
                "weights": list(chunk.weights),
            }
            for chunk in conditions.chunks(name, encoder, segments)
        ]
    return found


def wildcards(record: Record, workbench: Workbench) -> dict[str, Any]:
    settings = record.settings
    rng = random.Random(settings["rng_seed"])
    text = workbench.words.wildcards.apply(
        settings["text"], rng, index=settings["index"], in_order=settings["in_order"]
    )
    return {"text": text, "next_random": rng.random()}


def inline_loras(record: Record) -> dict[str, Any]:
    settings = record.settings
    excluded = settings.get("excluded") or settings.get("exclude")
    line, inline = take_inline_loras(settings["prompt"], tuple(settings["known_files"]), excluded)
    requested = [(name, weight) for name, weight in settings["loras"] if name != "None"]
    return {"loras": [list(lora) for lora in merged_loras(requested, inline, settings["limit"])], "prompt": line}


def expander(workbench: Workbench) -> PromptExpander:
    folder = workbench.resources.catalogue.folder(EXPANSION)
    return workbench.resources.store.resident(folder, lambda target: PromptExpander.load(folder, target.device))


def workload(record: Record, workbench: Workbench) -> dict[str, Any]:
    settings = record.settings
    try:
        work = assemble(prompt_request(settings, workbench), workbench.words)
    except EngineError as error:
        return {"error": str(error)}
    expansions = [expander(workbench).expand(task.prompt, task.seed) for task in work.images if task.expand]
    performance = Performance(settings.get("performance", "Speed"))
    cfg = 1.0 if MODES[performance].forced else settings.get("cfg", 7.0)
    return {
        "encode_calls": encode_calls(work, list(expansions), with_negative=abs(cfg - 1) >= 1e-4),
        "loras": [list(lora) for lora in work.loras],
        "expansions": expansions,
        "task_seed_first": work.images[0].seed,
        "error": None,
    }


def prompt_request(settings: dict[str, Any], workbench: Workbench) -> PromptRequest:
    return PromptRequest(
        prompt=settings["prompt"],
        negative_prompt=settings.get("negative_prompt", ""),
        styles=tuple(settings.get("style_selections", DEFAULT_STYLES)),
        seed=settings["seed"],
        image_number=settings.get("image_number", 1),
        disable_seed_increment=settings.get("disable_seed_increment", False),
        read_wildcards_in_order=settings.get("read_wildcards_in_order", False),
        loras=tuple((name, weight) for name, weight in settings.get("loras", ())),
        performance_lora=MODES[Performance(settings.get("performance", "Speed"))].lora,
        known_loras=workbench.known_loras,
        max_loras=MAX_LORAS,
    )


def encode_calls(work: Workload, expansions: list[str], *, with_negative: bool) -> list[dict[str, Any]]:
    """Texts in the order in which they are encoded: all positives, then all negatives."""
    positives = [
        {"texts": [*task.positive, *([expansions.pop(0)] if task.expand else [])], "pool_top_k": len(task.positive)}
        for task in work.images
    ]
    negatives = [{"texts": list(task.negative), "pool_top_k": len(task.negative)} for task in work.images]
    return positives + (negatives if with_negative else [])


def comparable(data: dict[str, Any]) -> dict[str, Any]:
    """A workload; of one that failed, only that it did."""
    return data if data.get("error") is None else {"error": True}
