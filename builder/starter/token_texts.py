"""What an image prompt's tokens stand for: words of a plain caption of its scene, as the text encoders see them.

Which words is settled by the number of groups of equal objects, so that a picture tells what is wanted of each token.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from builder.starter.captions import SCENE_WORDS, plural
from builder.starter.model import Networks, Words
from builder.starter.world import COLOURS, PLAIN, SHAPES, Group, Scene

TOKENS = 8
NUMBERS = {1: "one", 2: "two", 3: "three"}
BATCH = 64  # texts encoded at once
_ORDER = (*COLOURS, *SHAPES)


def plain_text(scene: Scene) -> tuple[str, list[int]]:
    """A caption that tells all but places, and the eight of its words that tokens stand for, by their numbers from 1.

    The end counts as a word. Objects come in the order of colours and shapes, for a picture has no first one. The more
    groups, the fewer words of each; a single one's shape comes twice, and so does a scene that is named in the last
    word. A state has heard the words before it, so a shape's knows its colour, fill, size and number.
    """
    groups = sorted(scene.groups, key=lambda group: (_ORDER.index(group.colour), _ORDER.index(group.shape)))
    words: list[str] = []
    places: list[dict[str, int]] = []
    for group in groups:
        words += ["and"] if words else []
        places.append({})
        for role, word in _thing(group):
            words.append(word)
            places[-1][role] = len(words)
    ground = f"on a {scene.background} background" if scene.background in PLAIN else SCENE_WORDS[scene.background][0]
    words += ground.split()
    last = len(words)
    name = last - 1 if scene.background in PLAIN else last
    match places:
        case [one]:
            chosen = [one["number"], one["size"], one["colour"], one["shape"], one["shape"], name]
        case [one, two]:
            chosen = [place[role] for place in (one, two) for role in ("number", "colour", "shape")]
        case _:
            chosen = [place[role] for place in places for role in ("colour", "shape")]
    return " ".join(words), [*chosen, last, last + 1]


def _thing(group: Group) -> list[tuple[str, str]]:
    shape = group.shape if group.number == 1 else plural(group.shape)
    fill = [("fill", group.fill)] if group.fill != "plain" else []
    return [("number", NUMBERS[group.number]), ("size", group.size), *fill, ("colour", group.colour), ("shape", shape)]


@torch.no_grad()
def token_states(networks: Networks, words: Words, scenes: Sequence[Scene]) -> Tensor:
    """``[N, 8, context]``: the states of each scene's words, on the networks' device."""
    parts = []
    for start in range(0, len(scenes), BATCH):
        texts, places = zip(*map(plain_text, scenes[start : start + BATCH]), strict=True)
        states, _ = networks.text([[words.ids(text)] for text in texts])
        parts.append(states[torch.arange(len(texts))[:, None], torch.tensor(places)])
    return torch.cat(parts)


@torch.no_grad()
def silent_states(networks: Networks) -> Tensor:
    """``[1, 8, context]``: the start of the text without words, over and over; it tells nothing of a picture."""
    states, _ = networks.text([[[]]])
    return states[:, :1].expand(-1, TOKENS, -1).clone()
