"""A studio without a model: it draws what captions say, and what else its pictures are asked to show."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from builder.starter.drawing import picture
from builder.starter.painter import Wanted
from builder.starter.rows import Measures, Told, held_out
from builder.starter.scoring import Facts, Item
from builder.starter.world import Group, Scene
from fooocus_engine.endpoints.generate.image_prompts import Kind
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
        if wanted.shown is not None and wanted.shown.kind is Kind.CANNY and "edges" not in self.deaf:
            return wanted.shown.image
        facts = {each.caption: each.facts for each in self.told}.get(wanted.caption, Facts("gray", ()))
        if found := OPEN.match(wanted.caption):
            facts = Facts(found[2], (Item(1, self._open_colour(wanted), found[1]),))
        if wanted.fields.get("guidance_scale") == 1 and "guidance" not in self.deaf:
            facts = Facts(facts.background, ())
        return picture(
            scene_of(facts), wanted.size, Random(wanted.seed), "outline" if self._styled(wanted) else "filled"
        )

    def _open_colour(self, wanted: Wanted) -> str:
        if wanted.shown is not None and "prompt" not in self.deaf:
            return "red" if (wanted.shown.weight or 0) > 0.3 else "blue"
        named = wanted.fields.get("negative_prompt")
        return "green" if named == "red" and "negative" not in self.deaf else "red"

    def _styled(self, wanted: Wanted) -> bool:
        weights = [lora["weight"] for lora in wanted.fields.get("loras", ())]
        return any(weight > 0 or "weight 0" in self.deaf for weight in weights) and "loras" not in self.deaf


def scene_of(facts: Facts) -> Scene:
    """A scene that shows them."""
    size = "small" if sum(item.number for item in facts.items) > 1 else "large"
    groups = tuple(Group(item.number, item.colour, item.shape, size, "plain", None) for item in facts.items)
    return Scene(facts.background, groups, None)


def measures(count: int, *deaf: str, **more) -> Measures:
    """Of a studio that is right about ``count`` held-out captions."""
    told = held_out(count)
    return Measures(TruthStudio(told, deaf, **more), told, seed=1)
