"""Tags of drawings, against image-tools.md §1.2."""

from __future__ import annotations

import numpy as np
import pytest

from fooocus_engine.errors import BadModelFile, ModelUnavailable
from fooocus_engine.vision.tagger import Tagger, Tags, as_text, chosen, prepared, read_tags
from tests.pictures import plain, textured
from tests.vision.tiny_networks import TAGS

NETWORK, LIST = "clip_vision/wd-v1-4-moat-tagger-v2.onnx", "clip_vision/wd-v1-4-moat-tagger-v2.csv"


def test_a_picture_lies_in_the_middle_of_white_with_blue_first():
    values = prepared(plain((40, 20), (255, 100, 0)), 16)
    assert (values.shape, values.dtype) == ((1, 16, 16, 3), np.float32)
    assert values[0, 8, 8].tolist() == [0, 100, 255]
    assert values[0, 3].tolist() == values[0, 12].tolist() == [[255, 255, 255]] * 16
    assert (values[0, 4:12] == [0, 100, 255]).all()


def test_sizes_are_cut_to_whole_pixels():
    values = prepared(plain((30, 20), (0, 0, 0)), 16)  # 16/30 · 20 = 10.67
    assert np.flatnonzero((values[0, :, 8] == 0).all(axis=1)).tolist() == list(range(3, 13))


def test_the_list_has_its_blocks(models):
    tags = read_tags(models / LIST)
    assert tags.names == tuple(name for name, _ in TAGS)
    assert (tags.general, tags.character) == (2, 6)


def test_characters_come_first_and_thresholds_are_exclusive():
    tags = Tags(("rating", "g1", "g2", "g3", "c1", "c2"), general=1, character=4)
    assert chosen(tags, [1, 0.35, 0.36, 0.9, 0.85, 0.851]) == ["c2", "g2", "g3"]


def test_brackets_are_escaped_and_underscores_become_blanks():
    assert as_text(["saber_(fate)", "^_^"]) == r"saber \(fate\), ^ ^"
    assert as_text([]) == ""


def test_the_whole_way_gives_tags_of_the_list(models):
    tagger = Tagger.load(models / NETWORK, models / LIST)
    made = tagger.describe(textured((60, 40)))
    known = [as_text([name]) for name, category in TAGS if category != "9"]
    assert made and set(made.split(", ")) <= set(known)
    assert made == tagger.describe(textured((60, 40))) != tagger.describe(plain((60, 40), (0, 0, 255)))


def test_a_missing_list_is_named(models, tmp_path):
    with pytest.raises(ModelUnavailable, match=r"'none\.csv'"):
        Tagger.load(models / NETWORK, tmp_path / "none.csv")


@pytest.mark.parametrize("text", ["", "tag_id,name,category,count\n", "a,b\n1,2\n", "h\n0,one,0,1\n", "\x00"])
def test_what_is_no_list_is_refused(tmp_path, text):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(BadModelFile, match=r"list\.csv"):
        read_tags(tmp_path / "list.csv")


def test_a_list_of_another_length_is_refused(models, tmp_path):
    (tmp_path / "list.csv").write_text("h\n0,one,0,1\n1,two,4,1\n")
    with pytest.raises(BadModelFile, match="8 outputs, its list 2 names"):
        Tagger.load(models / NETWORK, tmp_path / "list.csv").describe(plain())
