"""Answers ``read-metadata``: the request that a picture records (api.md §1.1). No torch, no pixels."""

from __future__ import annotations

from typing import Any

from fooocus_engine.endpoints.intake import announced
from fooocus_engine.errors import InvalidRequest, Location, Problem
from fooocus_engine.models.catalogue import CHECKPOINTS, LORAS, VAES, Catalogue
from fooocus_engine.output.encode import Embedded, read_metadata
from fooocus_engine.output.recall import Known, request_fields
from fooocus_engine.prompts.styles import Styles

AT_IMAGE: Location = ("body", "image")


def recorded_request(data: bytes, catalogue: Catalogue, styles: Styles) -> dict[str, Any]:
    """The scheme of the metadata in the picture file ``data``, and the request that it tells, in canonical fields.

    File names are those of the catalogue where it has files of the recorded stems.

    Raises:
        InvalidRequest: it is no picture, carries no metadata, or none that can be read.
    """
    with announced(data, AT_IMAGE) as image:
        embedded = read_metadata(image)
    if embedded is None:
        raise InvalidRequest([Problem("no_metadata", AT_IMAGE, "carries no metadata")])
    return {"scheme": embedded.scheme, "request": _told(embedded, catalogue, styles)}


def _told(embedded: Embedded, catalogue: Catalogue, styles: Styles) -> dict[str, Any]:
    known = Known(
        checkpoints=catalogue.names(CHECKPOINTS),
        loras=catalogue.names(LORAS, embedded=True),
        vaes=catalogue.names(VAES, embedded=True),
        styles={style.name: (style.prompt, style.negative_prompt) for style in styles.entries},
    )
    return request_fields(embedded.scheme, embedded.text, known, loc=AT_IMAGE)
