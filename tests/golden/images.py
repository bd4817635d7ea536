"""Replays group G: pictures through the pixel operations. Kinds that have no counterpart yet are not supported."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from fooocus_engine.endpoints.generate.sizes import size_lines
from fooocus_engine.imaging.depth_lines import cpds
from fooocus_engine.imaging.edges import HIGH, LOW, pyra_canny
from fooocus_engine.imaging.resize import Fit, fitted_size, resampled, resized, shape_ceil
from fooocus_engine.imaging.rgb import as_rgb
from tests.golden import inpaint_images
from tests.golden.compare import exact, picture_error
from tests.golden.records import Record
from tests.golden.workbench import Workbench

FITS = (Fit.STRETCH, Fit.COVER, Fit.CONTAIN)  # by the recordings' number of the mode


def replay(record: Record, workbench: Workbench) -> float | None:
    """Largest error of a record of group G."""
    match record.kind:
        case "inputs":
            return 0.0  # what the others start from
        case "resize":
            size = (record.settings["width"], record.settings["height"])
            return out_error(record, resized(source(record), size, FITS[record.settings["mode"]]))
        case "resample":
            size = (int(record.settings["width"]), int(record.settings["height"]))
            return out_error(record, resampled(source(record), size))
        case "hwc3":
            return max(out_error(record, as_rgb(source(record, name.upper())), name) for name in ("rgba", "gray"))
        case "shape_ceil":
            return max(shape_errors(row) for row in record.data)
        case "size_info":
            return max(exact(size_lines((row["w"], row["h"])), row["info"]) for row in record.data)
        case "canny":
            return canny(record)
        case "cpds":
            return out_error(record, Image.fromarray(cpds(np.asarray(source(record)))))
        case _:
            return inpaint_images.replay(record, workbench)


def canny(record: Record) -> float:
    settings = record.settings
    source = record if "image" in record.png else record.group.record("inputs")
    image = source.picture(settings.get("image", "image"))
    found = pyra_canny(image, settings.get("low", LOW), settings.get("high", HIGH))
    return picture_error(found, record.picture("out"), levels=record.group.tolerance["uint8_max"])


def source(record: Record, name: str = "") -> Image.Image:
    """The picture of the group's inputs that a record names."""
    return Image.fromarray(record.group.record("inputs").picture(name or record.settings["image"]))


def out_error(record: Record, made: Image.Image, name: str = "out") -> float:
    return picture_error(np.array(made), record.picture(name), levels=record.group.tolerance["uint8_max"])


def shape_errors(row: dict[str, Any]) -> float:
    """Errors of one size; a fitted size is recorded where the size needs to be fitted."""
    size, found = (row["w"], row["h"]), [(shape_ceil(row["w"], row["h"]), int(row["ceil"]))]
    for shape in (1024, 2048):
        if (recorded := row[f"set{shape}"]) is not None:
            found.append((fitted_size(size, shape), (recorded[1], recorded[0])))
    return max(exact(made, expected) for made, expected in found)
