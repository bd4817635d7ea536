"""Pools of the trainings: no scene in them is one that is held out."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import numpy as np
import pytest

import builder.starter
from builder.starter.base import load_base
from builder.starter.image_samples import prompt_pool
from builder.starter.pictures import draw_pool, in_shares, recoloured
from builder.starter.world import Scene, is_held_out, is_unseen_pair
from tests.builder.starter.bases import write_base

MEASURING = {"world.py", "rows.py", "edge_agreement.py", "upscaling.py"}
"""Modules that know scenes which training leaves out: they judge pictures, and train nothing."""


def is_kept_from_training(scene: Scene) -> bool:
    return is_held_out(scene) or any(map(is_unseen_pair, scene.groups))


def test_pools_of_pictures_have_no_scene_that_is_held_out():
    drawn = draw_pool(3, 300, [(32, 32)], processes=1)  # of scenes by lot, a fifth is held out
    assert len(drawn) == 300
    assert not any(is_kept_from_training(scene) for scene, _ in drawn)


def drawn_by_lot(seed: int, count: int) -> list[float]:
    random = Random(seed)
    return [random.random() for _ in range(count)]


def test_shares_are_the_same_whatever_the_number_of_processes_and_each_is_another():
    alone, shared = (in_shares(drawn_by_lot, 3, 1100, processes) for processes in (1, 3))
    assert alone == shared
    assert len(set(alone)) == 1100


def test_pools_of_image_prompts_have_no_scene_that_is_held_out(tmp_path: Path):
    write_base(tmp_path, tmp_path)
    assert not any(is_kept_from_training(scene) for scene in prompt_pool(load_base(tmp_path, tmp_path), 3, 30).scenes)


def test_no_other_module_draws_such_scenes():
    folder = Path(builder.starter.__file__).parent
    told = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.py")}
    assert {name for name, code in told.items() if re.search(r"\b(held_out_scene|draw_scene)\b", code)} == MEASURING


def test_sizes_take_turns_and_a_seed_draws_the_same_pool_again():
    first, second = (draw_pool(4, 4, [(32, 32), (48, 32)], processes=1) for _ in range(2))
    assert [image.shape for _, image in first] == [(32, 32, 3), (32, 48, 3)] * 2
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(first, second, strict=True))
    assert [scene for scene, _ in first] == [scene for scene, _ in second]


@pytest.mark.parametrize("seed", range(5))
def test_foreign_colours_keep_edges_where_they_are(seed):
    piece = np.zeros((8, 8, 3), np.uint8)
    piece[:, 4:] = 255
    changed = recoloured(piece, Random(seed))
    assert len(np.unique(changed[:, :4])) == len(np.unique(changed[:, 4:])) == 1
    assert changed[0, 4, 0] > changed[0, 3, 0]
