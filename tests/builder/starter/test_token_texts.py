"""What an image prompt's tokens stand for: plain captions and the states of their words."""

from __future__ import annotations

from random import Random

import pytest
import torch

from builder.starter.model import Networks, Words, new_tokenizer
from builder.starter.token_texts import TOKENS, plain_text, silent_states, token_states
from builder.starter.world import Group, Scene, training_scene


def group(colour: str, shape: str, *, number: int = 1, fill: str = "plain") -> Group:
    return Group(number=number, colour=colour, shape=shape, size="small", fill=fill, place=None)


@pytest.fixture(scope="module")
def networks() -> Networks:
    torch.manual_seed(0)
    return Networks(new_tokenizer()).eval()


@pytest.mark.parametrize(
    ("scene", "text", "chosen"),
    [
        (
            Scene("gray", (group("red", "star", fill="dotted"),), None),
            "one small dotted red star on a gray background",
            ["one", "small", "red", "star", "star", "gray", "background", "END"],
        ),
        (
            Scene("snow", (group("black", "heart", number=3),), None),
            "three small black hearts in the snow",
            ["three", "small", "black", "hearts", "hearts", "snow", "snow", "END"],
        ),
        (
            Scene("night", (group("pink", "cross", number=2), group("yellow", "ring")), None),
            "one small yellow ring and two small pink crosses at night",
            ["one", "yellow", "ring", "two", "pink", "crosses", "night", "END"],
        ),
        (
            Scene("sea", (group("red", "star"), group("red", "circle"), group("black", "heart")), None),
            "one small red circle and one small red star and one small black heart at sea",
            ["red", "circle", "red", "star", "black", "heart", "sea", "END"],
        ),
    ],
)
def test_a_plain_text_tells_groups_in_a_fixed_order_and_eight_of_its_words_are_chosen(scene, text, chosen):
    made, places = plain_text(scene)
    assert made == text
    assert [[*text.split(), "END"][place - 1] for place in places] == chosen


def test_states_are_those_of_the_chosen_words(networks: Networks):
    random, words = Random(0), Words(networks.clip_l.tokenizer)
    scenes = [training_scene(random) for _ in range(70)]  # more than are encoded at once
    states = token_states(networks, words, scenes)
    assert states.shape == (70, TOKENS, 192)
    for scene, row in zip(scenes, states, strict=True):
        text, places = plain_text(scene)
        ids = words.ids(text)
        assert len(ids) == len(text.split())  # the places are those of tokens, too
        with torch.no_grad():
            alone, _ = networks.text([[ids]])
        torch.testing.assert_close(row, alone[0, places])


def test_what_tells_nothing_is_the_start_of_the_empty_text(networks: Networks):
    with torch.no_grad():
        states, _ = networks.text([[[]]])
    silent = silent_states(networks)
    assert silent.shape == (1, TOKENS, 192)
    assert all(torch.equal(token, states[0, 0]) for token in silent[0])
