"""From a request's words to the texts of every picture."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import pytest
import torch

from fooocus_engine.errors import InvalidRequest, UnknownName
from fooocus_engine.prompts.expansion import PromptExpander
from fooocus_engine.prompts.wildcards import WildcardFiles
from fooocus_engine.prompts.workload import PromptRequest, assemble, task_seed
from fooocus_engine.types import ImageTask
from tests.golden.records import Record
from tests.prompts.recorded import TINY, records, tiny_words

FEW_STEP = {
    "Extreme Speed": ("sdxl_lcm_lora.safetensors", 1.0),
    "Lightning": ("sdxl_lightning_4step_lora.safetensors", 1.0),
    "Hyper-SD": ("sdxl_hyper_sd_4step_lora.safetensors", 0.8),
}  # api.md §3.1; these modes force cfg to 1
KNOWN_LORAS = tuple(sorted(path.name for path in (TINY / "loras").iterdir()))
PLAIN = PromptRequest(
    prompt="cat",
    negative_prompt="",
    styles=(),
    seed=1,
    image_number=1,
    disable_seed_increment=False,
    read_wildcards_in_order=False,
    loras=(),
    performance_lora=None,
    known_loras=KNOWN_LORAS,
    max_loras=5,
)


@lru_cache
def expander() -> PromptExpander:
    return PromptExpander.load(TINY / "expansion", torch.device("cpu"))


def request_of(record: Record) -> PromptRequest:
    settings = record.settings
    return replace(
        PLAIN,
        prompt=settings["prompt"],
        negative_prompt=settings.get("negative_prompt", ""),
        styles=tuple(settings["style_selections"]),
        seed=settings["seed"],
        image_number=settings.get("image_number", 1),
        disable_seed_increment=settings.get("disable_seed_increment", False),
        read_wildcards_in_order=settings.get("read_wildcards_in_order", False),
        loras=tuple((name, weight) for name, weight in settings.get("loras", [])),
        performance_lora=FEW_STEP.get(settings.get("performance", "Speed")),
    )


def only_image(request: PromptRequest) -> ImageTask:
    (image,) = assemble(request, tiny_words()).images
    return image


@pytest.mark.parametrize("record", records("workload"), ids=lambda record: record.id)
def test_requests_become_the_recorded_texts(record: Record):
    request = request_of(record)
    workload = assemble(request, tiny_words())
    expansions = [expander().expand(image.prompt, image.seed) for image in workload.images if image.expand]
    rest = iter(expansions)
    calls = [
        {"texts": [*image.positive, *([next(rest)] if image.expand else [])], "pool_top_k": len(image.positive)}
        for image in workload.images
    ]
    if record.settings.get("cfg", 4.0) != 1.0 and request.performance_lora is None:
        calls += [{"texts": list(image.negative), "pool_top_k": len(image.negative)} for image in workload.images]
    assert record.data["error"] is None
    assert {**record.data, "error": None} == {
        "encode_calls": calls,
        "loras": [list(lora) for lora in workload.loras],
        "expansions": expansions,
        "task_seed_first": workload.images[0].seed,
        "error": None,
    }


@pytest.mark.parametrize(
    ("seed", "index", "fixed", "expected"),
    [(5, 3, False, 8), (5, 3, True, 5), (2**63 - 1, 1, False, 0), (2**63 + 4, 0, True, 4)],
)
def test_seeds_count_up_and_wrap(seed: int, index: int, fixed: bool, expected: int):
    assert task_seed(seed, index, fixed) == expected


def test_the_expander_is_recorded_first_and_adds_no_text_yet():
    image = only_image(replace(PLAIN, styles=("Fooocus Sharp", "Fooocus V2")))
    assert (image.styles, image.expand, len(image.positive)) == (("Fooocus V2", "Fooocus Sharp"), True, 1)


def test_an_empty_prompt_is_not_expanded_nor_recorded_so():
    image = only_image(replace(PLAIN, prompt=" ,\n", styles=("Fooocus V2",)))
    assert (image.expand, image.styles, image.positive) == (False, (), ("",))


def test_a_prompt_of_tags_alone_keeps_the_expander_on():
    image = only_image(replace(PLAIN, prompt="<lora:tiny_kohya:1>", styles=("Fooocus V2",)))
    assert (image.expand, image.prompt) == (True, "")


def test_style_names_may_differ_in_case_and_come_twice():
    image = only_image(replace(PLAIN, styles=("fooocus sharp", "FOOOCUS V2", "Fooocus Sharp", "Fooocus V2")))
    assert image.styles == ("Fooocus V2", "Fooocus Sharp", "Fooocus Sharp")
    assert len(image.positive) == 2


def test_random_styles_are_recorded_by_the_name_drawn():
    image = only_image(replace(PLAIN, styles=("Random Style",)))
    assert image.styles == ("Only Negative",)  # seed 1, as recorded in random_style/1


def test_an_unknown_style_is_refused():
    with pytest.raises(UnknownName):
        assemble(replace(PLAIN, styles=("Nonesuch",)), tiny_words())


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("prompt", "__twice__"),
        ("prompt", "a\n__twice__"),
        ("negative_prompt", "__twice__"),
        ("negative_prompt", "a\n__twice__"),
    ],
)
def test_a_wildcard_that_grows_is_refused_at_its_own_field(field: str, text: str):
    words = replace(tiny_words(), wildcards=WildcardFiles({"twice": ("x __twice__ __twice__",)}))
    with pytest.raises(InvalidRequest) as refused:
        assemble(replace(PLAIN, **{field: text}), words)
    assert [problem.loc for problem in refused.value.problems] == [("body", field)]


def test_the_log_holds_the_resolved_lines_without_styles():
    request = replace(
        PLAIN, prompt="__gcolor__ cat\nin __gcolor__", negative_prompt="dog\n__gmissing__", read_wildcards_in_order=True
    )
    image = only_image(replace(request, styles=("Fooocus Sharp",)))
    assert (image.log_positive, image.log_negative) == ("red cat\nin red", "dog\ngmissing")


def test_only_the_first_line_knows_arrays_and_tags():
    image = only_image(replace(PLAIN, prompt="[[a,b]]\n[[a,b]] <lora:tiny_kohya:1>", negative_prompt="[[a,b]]"))
    assert image.positive == ("a", "[[a,b]] <lora:tiny_kohya:1>")
    assert image.negative == ("[[a,b]]",)


def test_each_picture_depends_on_its_own_seed_alone():
    request = replace(PLAIN, prompt="__gscene__", styles=("Random Style",), image_number=3, seed=40)
    together = assemble(request, tiny_words()).images
    alone = only_image(replace(request, image_number=1, seed=42))
    assert replace(together[2], index=0) == alone


def test_equal_requests_make_equal_workloads():
    request = replace(PLAIN, prompt="__gscene__ [[a,b]]", styles=("Random Style",), image_number=2)
    assert assemble(request, tiny_words()) == assemble(request, tiny_words())
