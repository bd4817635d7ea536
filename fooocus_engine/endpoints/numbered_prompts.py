"""The image prompts of the first generation of ``image-prompt``: numbered fields ``cn_img1`` … ``cn_type4``. No torch.

Takes raw fields and gives them with the list of the second generation instead (api.md §2.8); gives problems of that
list back under the names that the client wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fooocus_engine.errors import Location

IMAGE_PROMPT = "image-prompt"
LIST = "image_prompts"
PARTS = ("cn_img", "cn_stop", "cn_weight", "cn_type")
NUMBERS = range(1, 5)
NAMES = frozenset(f"{part}{number}" for part in PARTS for number in NUMBERS)
PLACES: Mapping[Location, Location] = MappingProxyType(
    {("body", LIST, number - 1, part): ("body", f"{part}{number}") for part in PARTS for number in NUMBERS}
    | {("body", LIST): ("body", "cn_img1")}
)
"""Where a problem is in the list → where the client wrote it."""


def is_numbered(endpoint: str, given: Mapping[str, Any]) -> bool:
    """Whether a client wrote numbered fields for the endpoint that has them."""
    return endpoint == IMAGE_PROMPT and not NAMES.isdisjoint(given)


def as_list(given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` with its numbered fields as a list: one entry for each number, empty where nothing was written."""
    rest = {name: value for name, value in given.items() if name not in NAMES}
    entries = [{part: given[f"{part}{number}"] for part in PARTS if f"{part}{number}" in given} for number in NUMBERS]
    return rest | {LIST: entries}
