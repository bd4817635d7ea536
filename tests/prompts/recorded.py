"""The recordings of prompt texts, and the small word files that they were made with."""

from __future__ import annotations

from functools import lru_cache

from fooocus_engine.prompts.workload import Words
from tests.golden.records import OWN_RECORDS, Group, Record, tiny_folder

TINY = tiny_folder(OWN_RECORDS)


def records(kind: str) -> list[Record]:
    """Every recording of a kind of text."""
    found = [record for record in _group().records if record.kind == kind]
    assert found, f"no recordings of {kind}"
    return found


@lru_cache
def tiny_words() -> Words:
    return Words.load([TINY / "styles"], [TINY / "wildcards"])


@lru_cache
def _group() -> Group:
    return Group(OWN_RECORDS / "D_prompts.json")
