"""The image prompts of the first generation of ``image-prompt``: numbered fields ``cn_img1`` … ``cn_type4``. No torch.

Takes raw fields and gives them with the list of the second generation instead (api.md §2.8); gives problems of that
list back under the names that the client wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from fooocus_engine.errors import Location, Problem

IMAGE_PROMPT = "image-prompt"
LIST = "image_prompts"
PARTS = ("cn_img", "cn_stop", "cn_weight", "cn_type")
NUMBERS = range(1, 5)
NAMES = frozenset(f"{part}{number}" for part in PARTS for number in NUMBERS)


def is_numbered(endpoint: str, given: Mapping[str, Any]) -> bool:
    """Whether a client wrote numbered fields for the endpoint that has them."""
    return endpoint == IMAGE_PROMPT and not NAMES.isdisjoint(given)


def as_list(given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` with its numbered fields as a list: one entry for each number, empty where nothing was written."""
    rest = {name: value for name, value in given.items() if name not in NAMES}
    entries = [{part: given[f"{part}{number}"] for part in PARTS if f"{part}{number}" in given} for number in NUMBERS]
    return rest | {LIST: entries}


def with_numbers(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """``problems`` of such a list, at the fields that the client wrote."""
    return tuple(replace(problem, loc=_written(problem.loc)) for problem in problems)


def _written(loc: Location) -> Location:
    match loc:
        case ("body", "image_prompts", int(place), str(part)):
            return "body", f"{part}{place + 1}"
        case ("body", "image_prompts"):
            return "body", "cn_img1"
        case _:
            return loc
