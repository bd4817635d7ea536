"""A studio without a model: it draws what captions say, and what else its pictures are asked to show."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from builder.starter.drawing import picture
from builder.starter.painter import Wanted
from builder.starter.rows import Measures, Told, held_out
from builder.starter.scoring import Facts, Item
from builder.starter.world import PLACES, Group, Scene
from fooocus_engine.models.upscaler import Upscaler

OPEN = re.compile(r"a large (\w+) on a (\w+) background")


class Bicubic(nn.Module):
    """Enlarges without weights."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, scale_factor=4, mode="bicubic")


@dataclass
class TruthStudio:
    """All is as asked for but what it is ``deaf`` to; colours that captions leave open are red."""

    told: Sequence[Told]
    deaf: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    takes: float = 1.0

    def has(self, kind: str, file: str) -> bool:
        return file not in self.missing

    def seconds(self, wanted: Wanted) -> float:
        return self.takes

    def upscaler(self) -> Upscaler:
        return Upscaler(Bicubic(), torch.device("cpu"), torch.float32)

    def pictures(self, wanted: Iterable[Wanted]) -> list[Image.Image]:
        return [self._picture(each) for each in wanted]

    def _picture(self, wanted: Wanted) -> Image.Image:
        if wanted.edges is not None and "edges" not in self.deaf:
            return Image.fromarray(wanted.edges).convert("RGB")
        if "input_image" in wanted.fields:
            return self._grown(wanted) if "outpaint_selections" in wanted.fields else self._repainted(wanted)
        facts = self._facts(wanted)
        if found := OPEN.match(wanted.caption):
            facts = Facts(found[2], (Item(1, self._open_colour(wanted), found[1]),))
        if wanted.fields.get("guidance_scale") == 1 and "guidance" not in self.deaf:
            facts = Facts(facts.background, ())
        return picture(
            scene_of(facts), wanted.size, Random(wanted.seed), "outline" if self._styled(wanted) else "filled"
        )

    def _facts(self, wanted: Wanted) -> Facts:
        return {each.caption: each.facts for each in self.told}.get(wanted.caption, Facts("gray", ()))

    def _repainted(self, wanted: Wanted) -> Image.Image:
        """The object that is told in the middle of the mask, as large as what is replaced."""
        given, mask = (opened(wanted.fields[name]) for name in ("input_image", "input_mask"))
        facts, place = self._facts(wanted), place_of(mask)
        groups = tuple(Group(1, item.colour, item.shape, "medium", "plain", place) for item in facts.items)
        new = picture(Scene(facts.background, groups, None), given.size, Random(wanted.seed))
        made = given if "new" in self.deaf else Image.composite(new, given, mask)
        if "rest" in self.deaf:
            made.putpixel((0, 0), (1, 2, 3))
        return made

    def _grown(self, wanted: Wanted) -> Image.Image:
        """The outermost column goes on."""
        given = np.asarray(opened(wanted.fields["input_image"]))
        new = int(0.3 * given.shape[1])
        columns = (new, 0) if wanted.fields["outpaint_selections"] == ["Left"] else (0, new)
        return Image.fromarray(
            np.pad(given, ((0, 0), columns, (0, 0)), "linear_ramp" if "background" in self.deaf else "edge")
        )

    def _open_colour(self, wanted: Wanted) -> str:
        if wanted.prompt is not None and "prompt" not in self.deaf:
            return "red" if wanted.prompt[1] > 0.3 else "blue"
        named = wanted.fields.get("negative_prompt")
        return "green" if named == "red" and "negative" not in self.deaf else "red"

    def _styled(self, wanted: Wanted) -> bool:
        weights = [lora["weight"] for lora in wanted.fields.get("loras", ())]
        return any(weight > 0 or "weight 0" in self.deaf for weight in weights) and "loras" not in self.deaf


def opened(text: str) -> Image.Image:
    """The picture in base64."""
    return Image.open(io.BytesIO(base64.b64decode(text)))


def place_of(mask: Image.Image) -> str:
    """The place that is nearest to what is white."""
    left, top, right, bottom = mask.getbbox() or (0, 0, 0, 0)
    middle = (left + right) / 2 / mask.width, (top + bottom) / 2 / mask.height
    return min(PLACES, key=lambda place: math.dist(PLACES[place], middle))


def scene_of(facts: Facts) -> Scene:
    """A scene that shows them."""
    size = "small" if sum(item.number for item in facts.items) > 1 else "large"
    groups = tuple(Group(item.number, item.colour, item.shape, size, "plain", None) for item in facts.items)
    return Scene(facts.background, groups, None)


def measures(count: int, *deaf: str, **more) -> Measures:
    """Of a studio that is right about ``count`` held-out captions."""
    told = held_out(count)
    return Measures(TruthStudio(told, deaf, **more), told, seed=1)
