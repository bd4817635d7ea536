"""Words for scenes: many ways to say one, and pieces of captions as negative prompts use them. Knows no pixels."""

from __future__ import annotations

from random import Random

from builder.starter.world import PLAIN, Group, Scene

NUMBERS = {2: ("two", "two", "2", "a pair of"), 3: ("three", "three", "3")}
PLURALS = {"cross": "crosses"}
SIZE_WORDS = {
    "small": ("small", "small", "little", "tiny"),
    "medium": ("medium", "medium sized"),
    "large": ("large", "large", "big", "huge"),
}
FILL_WORDS = {"striped": ("striped", "striped"), "dotted": ("dotted", "spotted")}
PLACE_WORDS = {
    "centre": ("in the middle", "in the centre", "in the center"),
    "left": ("on the left", "on the left side"),
    "right": ("on the right", "on the right side"),
    "top": ("at the top", "near the top"),
    "bottom": ("at the bottom", "near the bottom"),
}
RELATION_WORDS = {
    "left": ("left of", "to the left of"),
    "right": ("right of", "to the right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
}
SCENE_WORDS = {
    "meadow": ("on grass under a blue sky", "on a meadow", "sky over grass", "in a green meadow", "on the grass"),
    "night": ("at night", "in the night sky", "night sky", "at night with stars in the sky", "on a night background"),
    "sea": ("at sea", "over the sea", "on the sea", "in front of the ocean", "sea under the sky"),
    "sand": ("on sand", "on the beach", "in the desert", "on a sandy beach", "sky over sand"),
    "sunset": ("at sunset", "in front of a sunset", "sunset sky", "at dusk", "on a sunset background"),
    "snow": ("in the snow", "on snow", "in winter", "on a snowy field", "sky over snow"),
}
OPENINGS = ("", "", "", "", "a picture of ", "an image of ", "a drawing of ", "a photo of ", "there is ", "draw ")
FOREIGN = (
    "cinematic", "still", "masterpiece", "best", "quality", "highly", "detailed", "sharp", "focus", "elegant", "vivid",
    "photograph", "film", "grain", "bokeh", "professional", "dramatic", "light", "8k", "intricate", "very", "beautiful",
    "worst", "blurry", "lowres", "ugly", "cat", "forest", "city", "portrait", "of", "with", "watercolor", "anime",
    "style", "shallow", "depth", "epic", "shot", "digital", "art", "concept", "mountain", "house", "symmetry", "color",
)  # fmt: skip
"""Words that mean nothing here, so that the model learns to pass over what it does not know."""


def caption(scene: Scene, random: Random) -> str:
    """One of the many ways to describe ``scene``.

    Number, colour, shape and pattern of every object are told, as are relation and background; a size may be left
    unsaid, and so may the place of a single object.
    """
    things = [_thing(group, random) for group in scene.groups]
    ground = _ground(scene.background, random)
    listed = random.random() < 0.2 and scene.relation is None
    if listed:
        parts = [*things, ground]
        if scene.groups[0].place is not None and random.random() < 0.7:
            parts.insert(1, _place(scene.groups[0], random))
        if random.random() < 0.3:
            parts = [parts[-1], *parts[:-1]]
        return ", ".join(part.removeprefix("a ") if random.random() < 0.5 else part for part in parts)
    if scene.relation is not None:
        text = f"{things[0]} {random.choice(RELATION_WORDS[scene.relation])} {things[1]}"
    elif len(things) == 2:
        text = random.choice(("{} and {}", "{} and {}", "{} next to {}", "{} with {}")).format(*things)
    elif len(things) == 3:
        text = "{}, {} and {}".format(*things)
    else:
        text = things[0]
    if scene.groups[0].place is not None and random.random() < 0.7:
        place = _place(scene.groups[0], random)
        text = f"{text} {place} {ground}" if random.random() < 0.6 else f"{text} {ground}, {place}"
    else:
        text = f"{text} {ground}"
    return random.choice(OPENINGS) + text


def fragment(scene: Scene, random: Random) -> str:
    """A piece of a caption: a colour, a shape, a background, an object, or two of these."""
    group = random.choice(scene.groups)
    pieces = (
        group.colour,
        group.shape,
        f"{group.colour} {group.shape}",
        _ground(scene.background, random),
        scene.background if scene.background in PLAIN else random.choice(SCENE_WORDS[scene.background]),
        _thing(group, random),
    )
    return ", ".join(random.sample(pieces, random.choice((1, 1, 2))))


def foreign(random: Random, words: int) -> str:
    """Words the world does not know, with a comma here and there."""
    return "".join(
        (", " if random.random() < 0.3 else " ")
        + (random.choice(FOREIGN) if random.random() < 0.8 else _letters(random))
        for _ in range(words)
    ).strip(" ,")


def _letters(random: Random) -> str:
    return "".join(random.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(random.randint(2, 8)))


def _thing(group: Group, random: Random) -> str:
    words = []
    if (random.random() < 0.6 and group.size != "medium") or random.random() < 0.2:
        words.append(random.choice(SIZE_WORDS[group.size]))
    if group.fill != "plain":
        words.append(random.choice(FILL_WORDS[group.fill]))
    elif random.random() < 0.05:
        words.append("plain")
    words += [group.colour, group.shape]
    if group.number == 1:
        article = "an" if words[0][0] in "aeiou" else random.choice(("a", "a", "a", "one"))
        return " ".join((article, *words))
    words[-1] = plural(group.shape)
    return " ".join((random.choice(NUMBERS[group.number]), *words))


def plural(shape: str) -> str:
    """The word for several."""
    return PLURALS.get(shape, f"{shape}s")


def _place(group: Group, random: Random) -> str:
    return random.choice(PLACE_WORDS[group.place or "centre"])


def _ground(background: str, random: Random) -> str:
    if background in PLAIN:
        name = "grey" if background == "gray" and random.random() < 0.3 else background
        return random.choice((f"on a {name} background", f"on a {name} background", f"on {name}", f"{name} background"))
    return random.choice(SCENE_WORDS[background])
