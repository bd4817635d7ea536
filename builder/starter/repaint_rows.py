"""How well an inpaint replaces an object and an outpaint carries a background on.

Clients' pictures are renders of scenes with one object, larger than what is trained on so that most of them stays as it
is. Whatever their size, the model works at about 1024 pixels a side.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image

from builder.starter import captions
from builder.starter.analysis import SeenObject, analyse
from builder.starter.drawing import MARGIN, picture
from builder.starter.painter import Wanted
from builder.starter.pictures import Size
from builder.starter.rows import Measures, Row
from builder.starter.world import BACKGROUNDS, PLACES, SHAPES, SIZES, Group, Scene, is_unseen_pair, visible_colours
from fooocus_engine.imaging.masks import SOFT_PIXELS, grown

CASES = 50
REPLACED_TARGET, CONTINUED_TARGET = 0.85, 0.9
GIVEN: Size = (320, 320)
OBJECT = "medium"
REACH = SIZES[OBJECT][1] + 2 * MARGIN  # of the mask from a place's middle: any object there, wherever it lies exactly
ENDPOINT = {"endpoint": "image-inpaint-outpaint"}


@dataclass(frozen=True, eq=False)
class Replacement:
    """A picture in which one object is to become another."""

    given: Image.Image
    mask: Image.Image
    """L, 255 = repaint."""
    after: Scene
    """What the result has to show."""
    wanted: Wanted

    def leaves_the_rest(self, made: Image.Image) -> bool:
        """Whether ``made`` is the given picture, to the bit, beyond the soft edge of the mask."""
        rest = grown(np.asarray(self.mask), SOFT_PIXELS - 1) == 0
        return np.array_equal(np.asarray(made)[rest], np.asarray(self.given)[rest])

    def shows_the_new(self, made: Image.Image) -> bool:
        """Whether the new object is in ``made``, in colour and shape."""
        (group,) = self.after.groups
        return SeenObject(group.colour, group.shape) in analyse(made).objects


@dataclass(frozen=True, eq=False)
class Continuation:
    """A picture that is to grow by three tenths on one side."""

    given: Image.Image
    side: str
    """``Left`` or ``Right``: there every background goes on as it is, horizons included."""
    background: str
    wanted: Wanted

    def carries_on(self, made: Image.Image) -> bool:
        """Whether the background is that of the given picture, in all of ``made`` and in its new part alone."""
        new = made.width - self.given.width
        left = 0 if self.side == "Left" else self.given.width
        part = made.crop((left, 0, left + new, made.height))
        return new > 0 and all(analyse(image).background == self.background for image in (made, part))


def repaint_rows(measures: Measures, cases: int = CASES) -> Iterator[Row]:
    """Shares of results that keep what they must keep, and that show what was asked for."""
    told = [replacement(measures.seed + index) for index in range(cases)]
    made = measures.studio.pictures(each.wanted for each in told)
    pairs = list(zip(told, made, strict=True))
    kept = float(np.mean([each.leaves_the_rest(image) for each, image in pairs]))
    yield Row("inpaint: same bits beyond the soft edge", kept, cases, least=1)
    new = float(np.mean([each.shows_the_new(image) for each, image in pairs]))
    yield Row("inpaint: the new object", new, cases, least=REPLACED_TARGET)
    grows = [continuation(measures.seed + index) for index in range(cases)]
    grown_ones = measures.studio.pictures(each.wanted for each in grows)
    carried = [each.carries_on(image) for each, image in zip(grows, grown_ones, strict=True)]
    yield Row("outpaint: the background carried on", float(np.mean(carried)), cases, least=CONTINUED_TARGET)


def replacement(seed: int) -> Replacement:
    """By lot: both objects in the same place, different in colour and shape."""
    random = Random(seed)
    background, place = random.choice(BACKGROUNDS), random.choice(tuple(PLACES))
    before, after = (Scene(background, (group,), None) for group in _two_objects(background, place, random))
    given, mask = picture(before, GIVEN, Random(seed)), mask_at(place)
    fields = {**ENDPOINT, "input_image": text_of(given), "input_mask": text_of(mask)}
    return Replacement(given, mask, after, Wanted(captions.caption(after, random), seed, GIVEN, fields))


def continuation(seed: int) -> Continuation:
    """By lot."""
    random = Random(seed)
    background, side = random.choice(BACKGROUNDS), random.choice(("Left", "Right"))
    thing, _ = _two_objects(background, "centre", random)
    scene = Scene(background, (thing,), None)
    given = picture(scene, GIVEN, Random(seed))
    fields = {**ENDPOINT, "input_image": text_of(given), "outpaint_selections": [side]}
    return Continuation(given, side, background, Wanted(captions.caption(scene, random), seed, GIVEN, fields))


def _two_objects(background: str, place: str, random: Random) -> tuple[Group, Group]:
    while True:
        colours, shapes = random.sample(visible_colours(background), 2), random.sample(SHAPES, 2)
        first, second = (
            Group(1, colour, shape, OBJECT, "plain", place) for colour, shape in zip(colours, shapes, strict=True)
        )
        if not is_unseen_pair(first) and not is_unseen_pair(second):
            return first, second


def mask_at(place: str) -> Image.Image:
    """White around any object in that place of a given picture."""
    short, (x, y) = min(GIVEN), (share * length for share, length in zip(PLACES[place], GIVEN, strict=True))
    left, top, right, bottom = (round(middle + sign * REACH * short) for sign in (-1, 1) for middle in (x, y))
    mask = Image.new("L", GIVEN)
    mask.paste(255, (left, top, right, bottom))
    return mask


def text_of(image: Image.Image) -> str:
    """``image`` as the base64 of a PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
