from __future__ import annotations

from random import Random
from typing import Any

from PIL import Image

from builder.starter.drawing import picture
from builder.starter.lora_rows import distilled_rows, style_rows
from builder.starter.train_style import FILE
from builder.starter.world import draw_scene


class StylePainter:
    """Outlines under the LoRA of the style; ``undone`` tells whether weight 0 undoes it."""

    def __init__(self, undone: bool, works: bool = True) -> None:
        self._undone, self._works = undone, works

    def picture(self, caption: str, seed: int, **fields: Any) -> Image.Image:
        used = fields.get("loras", [])
        assert all(lora["model_name"] == FILE for lora in used)
        styled = bool(used) and (used[0]["weight"] > 0 or not self._undone) and self._works
        return picture(draw_scene(Random(caption)), (128, 128), Random(seed), "outline" if styled else "filled")


CAPTIONS = [f"caption {i}" for i in range(10)]


def rows(painter: StylePainter) -> dict[str, tuple[float, bool]]:
    return {row.name: (row.value, row.met) for row in style_rows(painter, CAPTIONS, 1)}  # type: ignore[arg-type]


def test_a_style_that_comes_and_goes_meets_every_target():
    assert all(met for _, met in rows(StylePainter(undone=True)).values())


def test_a_style_that_stays_at_weight_0_is_noticed():
    assert [name for name, (_, met) in rows(StylePainter(undone=False)).items() if not met] == [
        "style LoRA at weight 0: same bits"
    ]


def test_a_lora_without_effect_is_noticed():
    assert [name for name, (_, met) in rows(StylePainter(undone=True, works=False)).items() if not met] == [
        "style LoRA: pictures of outlines"
    ]


def test_a_distilled_mode_is_held_against_speed():
    speed = {"background": 1.0, "shape": 0.8}
    met = [row.met for row in distilled_rows("Extreme Speed", {"background": 0.84, "shape": 0.69}, speed)]
    assert met == [False, True]
