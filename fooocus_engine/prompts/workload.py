"""From a request's words to the texts of each picture: lines, LoRA tags, wildcards, arrays, styles (prompt.md §§1–8).

Takes a `PromptRequest` and the installed `Words`, gives one `ImageTask` a picture and the LoRAs to apply. Everything
random derives from the seeds. Does not expand prompts: it only says which pictures want it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from fooocus_engine.errors import MAX_ECHO, InvalidRequest, Problem
from fooocus_engine.prompts.styles import EXPANSION_STYLE, RANDOM_STYLE, Style, Styles, load_styles
from fooocus_engine.prompts.syntax import (
    NO_FILE,
    choose_arrays,
    emphasis,
    merged_loras,
    prompt_lines,
    take_inline_loras,
)
from fooocus_engine.prompts.wildcards import WildcardFiles
from fooocus_engine.types import ImageTask, Weighted

SEEDS = 2**63  # seeds are 0 … 2^63 − 1 (prompt.md §4)


@dataclass(frozen=True)
class Words:
    """The installed texts that prompts may refer to."""

    styles: Styles
    wildcards: WildcardFiles

    @classmethod
    def load(cls, style_folders: Iterable[Path], wildcard_folders: Iterable[Path]) -> Words:
        """Read both kinds; later folders are laid over earlier ones by name."""
        return cls(load_styles(style_folders), WildcardFiles.load(wildcard_folders))


@dataclass(frozen=True, kw_only=True)
class PromptRequest:
    """What a request says that decides its texts."""

    prompt: str
    negative_prompt: str
    styles: tuple[str, ...]
    """Legal names in the order asked for, special ones included."""
    seed: int
    image_number: int
    first_index: int = 0
    """Index of the first picture within the whole request; seeds, wildcards in order and arrays follow it."""
    disable_seed_increment: bool
    read_wildcards_in_order: bool
    loras: tuple[Weighted, ...]
    """The enabled ones; an empty slot, ``None``, is dropped."""
    performance_lora: Weighted | None
    """Added after all others, outside the limit; the prompt cannot name its file."""
    known_loras: tuple[str, ...]
    """Installed files, relative paths in listing order, that tags of the prompt may name."""
    max_loras: int


@dataclass(frozen=True)
class Workload:
    """The texts of every picture, and the LoRAs that all of them share."""

    images: tuple[ImageTask, ...]
    loras: tuple[Weighted, ...]


@dataclass(frozen=True)
class _Lines:
    """The cleaned lines of a request, before wildcards."""

    prompt: str
    extra: tuple[str, ...]
    negative: str
    extra_negative: tuple[str, ...]
    styles: tuple[str, ...]
    expand: bool


def task_seed(seed: int, index: int, disable_increment: bool) -> int:
    """The seed of picture ``index``: ``seed + index`` modulo 2^63, or ``seed`` modulo 2^63 for all of them."""
    return (seed if disable_increment else seed + index) % SEEDS


def assemble(request: PromptRequest, words: Words) -> Workload:
    """The texts and seeds of all pictures of ``request``, and its final list of LoRAs.

    Raises:
        UnknownName: a style that is not installed.
        ModelUnavailable: a random style where none is installed.
        InvalidRequest: a wildcard that grows without end, or an emphasis that is no finite number.
    """
    first, *extra = prompt_lines(request.prompt)
    negative, *extra_negative = prompt_lines(request.negative_prompt)
    # Asked before the tags go: a prompt of tags alone keeps the expander on, though it adds nothing (prompt.md §2).
    is_empty = first == ""
    first, loras = _without_loras(first, request)
    names = [words.styles.canonical(name) for name in request.styles]
    lines = _Lines(
        prompt=first,
        extra=tuple(extra),
        negative=negative,
        extra_negative=tuple(extra_negative),
        styles=tuple(name for name in names if name != EXPANSION_STYLE),
        expand=EXPANSION_STYLE in names and not is_empty,
    )
    images = (
        _image(index, lines, request, words)
        for index in range(request.first_index, request.first_index + request.image_number)
    )
    return Workload(images=tuple(images), loras=loras)


def _without_loras(line: str, request: PromptRequest) -> tuple[str, tuple[Weighted, ...]]:
    performance = (request.performance_lora,) if request.performance_lora else ()
    excluded = next((PurePosixPath(file).name for file, _ in performance), None)
    line, inline = take_inline_loras(line, request.known_loras, excluded)
    requested = [lora for lora in request.loras if lora[0] != NO_FILE]
    return line, (*merged_loras(requested, inline, request.max_loras), *performance)


def _image(index: int, lines: _Lines, request: PromptRequest, words: Words) -> ImageTask:
    seed = task_seed(request.seed, index, request.disable_seed_increment)
    rng = random.Random(seed)
    fill = partial(words.wildcards.apply, rng=rng, index=index, in_order=request.read_wildcards_in_order)
    fill_negative = partial(fill, loc=("body", "negative_prompt"))
    # The order of these draws is fixed: prompt, negative, extra lines, random styles (prompt.md §4).
    prompt = choose_arrays(fill(lines.prompt), index)
    negative = fill_negative(lines.negative)
    extra = [fill(line) for line in lines.extra]
    extra_negative = [fill_negative(line) for line in lines.extra_negative]
    styles = [words.styles.draw(rng) if name == RANDOM_STYLE else words.styles.find(name) for name in lines.styles]
    positive_texts, negative_texts = _styled(styles, prompt)
    return ImageTask(
        index=index,
        seed=seed,
        prompt=prompt,
        positive=_weighed(_filled([*positive_texts, *extra], prompt), "prompt"),
        negative=_weighed(_filled([*negative_texts, negative, *extra_negative], negative), "negative_prompt"),
        styles=(*((EXPANSION_STYLE,) if lines.expand else ()), *(style.name for style in styles)),
        log_positive="\n".join([prompt, *extra]),
        log_negative="\n".join([negative, *extra_negative]),
        expand=lines.expand,
    )


def _styled(styles: Sequence[Style], prompt: str) -> tuple[list[str], list[str]]:
    """Positive and negative lines of all styles; the prompt comes first unless a style holds it (prompt.md §8)."""
    applied = [style.apply(prompt) for style in styles]
    positive = [line for lines in applied for line in lines.positive]
    if not any(lines.holds_prompt for lines in applied):
        positive.insert(0, prompt)
    return positive, [line for lines in applied for line in lines.negative]


def _filled(texts: Sequence[str], otherwise: str) -> tuple[str, ...]:
    """The texts that are not empty; with none left, ``otherwise`` alone: something must be encoded."""
    return tuple(text for text in texts if text) or (otherwise,)


def _weighed(texts: tuple[str, ...], field: str) -> tuple[str, ...]:
    """``texts``, if every emphasis in them is a finite number: another would spread over the whole picture."""
    for text in texts:
        for segment, weight in emphasis(text):
            if not math.isfinite(weight):
                reason = f"the emphasis of {segment[:MAX_ECHO]!r} is {weight}; only finite numbers are allowed"
                raise InvalidRequest([Problem("emphasis", ("body", field), reason)])
    return texts
