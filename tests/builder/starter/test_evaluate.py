from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from builder.starter import captions, world
from builder.starter.analysis import analyse
from builder.starter.colour_share import colour_share
from builder.starter.drawing import picture
from builder.starter.evaluate import Evaluation, Row, Told, held_out, matched, read, shares
from builder.starter.scoring import facts_of, format_facts


class TruthPainter:
    """Draws the scene that a caption was made of."""

    def __init__(self, count: int) -> None:
        random = Random(11)
        self._scenes = {}
        self.told: list[Told] = []
        for _ in range(count):
            scene = world.held_out_scene(random)
            text = captions.caption(scene, random)
            self._scenes[text] = scene
            self.told.append(Told(text, facts_of(scene)))

    def picture(self, caption: str, seed: int, size: tuple[int, int] = (128, 128), **fields: Any) -> Image.Image:
        return picture(self._scenes[caption], size, Random(seed))


def test_pictures_of_the_truth_meet_every_target_of_the_captions():
    painter = TruthPainter(60)
    rows = list(Evaluation(painter, painter.told, seed=1).rows(brief=True))  # type: ignore[arg-type]
    assert [row.name for row in rows] == ["background", "count", "colour", "shape"]
    assert all(row.met for row in rows)


def test_pictures_of_others_captions_do_not():
    painter = TruthPainter(60)
    seen = [analyse(painter.picture(each.caption, 1)) for each in painter.told]
    turned = [*painter.told[1:], painter.told[0]]
    assert max(shares(matched(turned, seen)).values()) < 0.6


def test_held_out_captions_are_the_same_every_time_and_other_for_unseen_pairs():
    assert held_out(5) == held_out(5)
    assert held_out(5) != held_out(5, unseen_pairs=True)


def test_a_file_of_captions_is_read_with_its_facts(tmp_path: Path):
    told = held_out(4)
    file = tmp_path / "captions.txt"
    file.write_text("# four\n" + "\n".join(format_facts(each.caption, each.facts) for each in told), encoding="utf-8")
    assert read(file) == told


def test_a_row_tells_whether_its_target_is_met():
    assert Row("a", 0.9, least=0.9).met
    assert not Row("a", 0.89, least=0.9).met
    assert not Row("a", 0.5, most=0.4).met
    assert "MISSED" in str(Row("a", 0.5, most=0.4))
    assert Row("a", 0.0).met


def test_the_share_of_a_colour_is_that_of_its_pixels():
    image = Image.new("RGB", (10, 10), world.COLOURS["red"])
    image.paste(world.COLOURS["blue"], (0, 0, 10, 3))
    assert colour_share(image, "red") == 0.7
    assert colour_share(image, "green") == 0.0
