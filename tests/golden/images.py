"""Replays group G: pictures through the pixel operations. Kinds that have no counterpart yet are not supported."""

from __future__ import annotations

from fooocus_engine.imaging.edges import HIGH, LOW, pyra_canny
from tests.golden.compare import picture_error
from tests.golden.records import Record
from tests.golden.workbench import Workbench


def replay(record: Record, workbench: Workbench) -> float | None:
    """Largest error of a record of group G."""
    match record.kind:
        case "canny":
            return canny(record)
        case _:
            return None


def canny(record: Record) -> float:
    settings = record.settings
    source = record if "image" in record.png else record.group.record("inputs")
    image = source.picture(settings.get("image", "image"))
    found = pyra_canny(image, settings.get("low", LOW), settings.get("high", HIGH))
    return picture_error(found, record.picture("out"), levels=record.group.tolerance["uint8_max"])
