"""Which files a bake is to have: presets, features and single files come down to a list. Pure.

Takes words and the catalogue's rows; gives wanted files and what was left out, with the effect. Knows no network and
no disk.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from builder.baking.errors import BadChoice
from fooocus_engine.models.catalogue import CHECKPOINTS, EXPANSION, KINDS, KnownFile, is_plain_name
from fooocus_engine.models.features import ALWAYS, FEATURES, PRESET

STARTER = "starter"
"""The preset of the shipped model: needs no file."""
SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "none": (),
        "standard": (
            "preview", "speed", "upscale", "inpaint", "control", "image-prompt", "face-swap", "describe", "expansion",
        ),
        "all": tuple(FEATURES),
    }
)  # fmt: skip
NON_COMMERCIAL = "non-commercial"
EFFECTS: Mapping[str, str] = MappingProxyType(
    {EXPANSION: "style 'Fooocus V2' adds nothing to prompts, and replies carry a warning"}
)
"""What is missed without the files of a kind."""
_OWN = re.compile(r"(?P<path>[^=]+)=(?P<source>https?://[^#\s]+)(#sha256=(?P<sha256>[0-9a-f]{64}))?")


@dataclass(frozen=True)
class Choice:
    """What to fetch, and what was left out for its licence: ``(files, effect)`` each."""

    files: tuple[KnownFile, ...]
    left_out: tuple[tuple[int, str], ...] = ()


def presets_of(known: Iterable[KnownFile]) -> tuple[str, ...]:
    """Every preset that a bake can be made for."""
    marked = (tag.removeprefix(PRESET) for file in known for tag in file.needed_by if tag.startswith(PRESET))
    return tuple(dict.fromkeys((STARTER, *marked)))


def chosen(
    known: Sequence[KnownFile], presets: Sequence[str], features: Sequence[str], files: Sequence[str],
    *, accept_non_commercial: bool,
) -> Choice:  # fmt: skip
    """The files of ``presets`` and ``features``, and single ones, each once and in the catalogue's order.

    A bake for the starter preset alone has no checkpoint to serve, so it needs no file unless one is named.

    Raises:
        BadChoice: a name is not known, or a file of the user's own is not ``KIND/NAME=URL[#sha256=HEX]``.
    """
    all_presets = presets_of(known)
    presets = all_presets if list(presets) == ["all"] else presets
    _all_known("preset", presets, all_presets)
    tags = {f"{PRESET}{name}" for name in presets} | set(_tags(features))
    if set(presets) - {STARTER}:
        tags.add(ALWAYS)
    named = {text for text in files if "=" not in text}
    _all_known("file", named, [path_of(file) for file in known])
    wanted = [file for file in known if tags.intersection(file.needed_by) or path_of(file) in named]
    own = [_own_file(text) for text in files if "=" in text]
    taken = {path_of(file) for file in own}
    return _within_licence([*(file for file in wanted if path_of(file) not in taken), *own], accept_non_commercial)


def path_of(file: KnownFile) -> str:
    """Where it lies in the models folder."""
    return f"{file.kind}/{file.name}"


def _tags(features: Sequence[str]) -> Iterator[str]:
    _all_known("feature", features, (*SETS, *FEATURES))
    for name in features:
        for feature in SETS.get(name, (name,)):
            yield from FEATURES[feature]


def _all_known(what: str, names: Iterable[str], known: Collection[str]) -> None:
    if unknown := [name for name in names if name not in known]:
        raise BadChoice(f"unknown {what} {', '.join(map(repr, unknown))}; known: {', '.join(known)}")


def _own_file(text: str) -> KnownFile:
    match = _OWN.fullmatch(text)
    path = match["path"] if match else ""
    kind = next((kind for kind in KINDS if path.startswith(f"{kind}/")), None)
    name = path[len(kind) + 1 :] if kind else ""
    if not match or kind is None or not is_plain_name(name):
        allowed = f"KIND/NAME=URL or KIND/NAME=URL#sha256=HEX with KIND one of {', '.join(KINDS)}"
        raise BadChoice(
            f"file {text.split('=')[0]!r} cannot be used; allowed: {allowed}, as {CHECKPOINTS}/x.safetensors=…"
        )
    return KnownFile(kind, name, match["source"], (), match["sha256"])


def _within_licence(files: Sequence[KnownFile], accepted: bool) -> Choice:
    limited = [file for file in files if not accepted and (file.licence or "").startswith(NON_COMMERCIAL)]
    kinds = dict.fromkeys(file.kind for file in limited)
    left_out = tuple(
        (sum(file.kind == kind for file in limited), EFFECTS.get(kind, f"{kind} lacks them")) for kind in kinds
    )
    return Choice(tuple(file for file in files if file not in limited), left_out)
