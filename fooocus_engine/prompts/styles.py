"""Styles: named texts around a prompt, read from JSON files and applied by name (prompt.md §7).

Files are read when `load_styles` is called and never at import, so that a door which only lists names stays light.
Knows nothing of seeds, wildcards or how styled lines are put together.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fooocus_engine.errors import Location, ModelUnavailable, UnknownName
from fooocus_engine.models.catalogue import Catalogue, files_below

SHIPPED = Path(__file__).parent / "data" / "styles"
INSTALLED = "sdxl_styles"  # the folder in a models folder
EXPANSION_STYLE = "Fooocus V2"
"""Switches the prompt expander on; has no texts."""
RANDOM_STYLE = "Random Style"
"""Stands for a style drawn anew for each picture."""
PLACEHOLDER = "{prompt}"
LAST_FILES = (
    "sdxl_styles_fooocus.json", "sdxl_styles_sai.json", "sdxl_styles_mre.json", "sdxl_styles_twri.json",
    "sdxl_styles_diva.json", "sdxl_styles_marc_k3nt3l.json",
)  # fmt: skip
"""Loaded after all other files of their folder, in this order (prompt.md §7.1)."""

_SPELLINGS = (("3d", "3D"), ("Sai", "SAI"), ("Mre", "MRE"), ("(s", "(S"))

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StyledLines:
    """What a style makes of a prompt."""

    positive: tuple[str, ...]
    negative: tuple[str, ...]
    holds_prompt: bool
    """The style has a place for the prompt, so the prompt need not be added beside it."""


@dataclass(frozen=True)
class Style:
    """A named pair of texts; ``{prompt}`` in the first marks the place of the prompt."""

    name: str
    prompt: str = ""
    negative_prompt: str = ""

    def apply(self, prompt: str) -> StyledLines:
        """The style's lines around ``prompt``; an empty text gives no line (prompt.md §7.4)."""
        return StyledLines(
            positive=tuple(self.prompt.replace(PLACEHOLDER, prompt).splitlines()),
            negative=tuple(self.negative_prompt.splitlines()),
            holds_prompt=PLACEHOLDER in self.prompt,
        )


@dataclass(frozen=True)
class Styles:
    """All styles in load order, which random picks and listings depend on."""

    entries: tuple[Style, ...]

    def legal_names(self) -> tuple[str, ...]:
        """Every name that a request may give: the two special ones, then the styles in load order."""
        return (EXPANSION_STYLE, RANDOM_STYLE, *(style.name for style in self.entries))

    def canonical(self, name: str, loc: Location = ("body", "style_selections")) -> str:
        """The legal name that ``name`` means: itself, else the same without regard to case.

        Raises:
            UnknownName: there is none; ``loc`` is the field it came in.
        """
        canonical = self._canonical.get(name) or self._canonical.get(name.lower())
        if canonical is None:
            raise UnknownName("style", name, self.legal_names(), loc)
        return canonical

    def find(self, name: str) -> Style:
        """The style of that name, exactly, else without regard to case.

        Raises:
            UnknownName: there is none, or it is a special name, which has no texts.
        """
        canonical = self.canonical(name)
        if canonical not in self._by_name:
            raise UnknownName("style with texts", name, self._by_name, ("body", "style_selections"))
        return self._by_name[canonical]

    def draw(self, rng: random.Random) -> Style:
        """A style at random; one draw of ``rng.choice`` over all in load order.

        Raises:
            ModelUnavailable: no style files are installed.
        """
        if not self.entries:
            raise ModelUnavailable(f"{RANDOM_STYLE!r} has nothing to draw from: no style files are installed")
        return rng.choice(self.entries)

    @cached_property
    def _by_name(self) -> dict[str, Style]:
        return {style.name: style for style in self.entries}

    @cached_property
    def _canonical(self) -> dict[str, str]:
        """Legal names by themselves and in lower case; of two that differ in case alone the first has the latter."""
        names = self.legal_names()
        lower = {name.lower(): name for name in reversed(names)}
        return lower | {name: name for name in names}


def installed_styles(catalogue: Catalogue) -> Styles:
    """The shipped styles, with those of the installed ``sdxl_styles`` over them: what every door and worker knows."""
    return load_styles((SHIPPED, catalogue.folder(INSTALLED)))


def load_styles(folders: Iterable[Path] = (SHIPPED,)) -> Styles:
    """The styles of all ``.json`` files of ``folders``, each read in the order of prompt.md §7.1.

    A later entry of the same normalised name replaces the texts but keeps the place, so upstream's files laid over the
    shipped ones change words and no order. A missing folder is an empty one; a broken file ends at its first bad entry.
    """
    styles: dict[str, Style] = {}
    for folder in folders:
        for path in _style_files(folder):
            for style in _read(path):
                styles[style.name] = style
    return Styles(tuple(styles.values()))


def normalised(name: str) -> str:
    """A style's name as it is listed: ``sai-3d-model`` → ``SAI 3D Model`` (prompt.md §7.2)."""
    words = name.replace("-", " ").split(" ")
    text = " ".join(word[:1].upper() + word[1:].lower() for word in words)
    for plain, special in _SPELLINGS:
        text = text.replace(plain, special)
    return text


def _style_files(folder: Path) -> list[Path]:
    last = [folder / name for name in LAST_FILES]
    files = list(files_below(folder, [".json"]))
    return [path for path in files if path not in last] + [path for path in last if path in files]


def _read(path: Path) -> Iterator[Style]:
    try:
        for entry in json.loads(path.read_text(encoding="utf-8")):
            yield _style(entry)
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("style file %s: the rest of it is skipped, %s: %s", path.name, type(error).__name__, error)


def _style(entry: Any) -> Style:
    style = Style(normalised(entry["name"]), entry.get("prompt", ""), entry.get("negative_prompt", ""))
    if not isinstance(style.prompt, str) or not isinstance(style.negative_prompt, str):
        raise TypeError(f"the texts of style {style.name!r} must be strings")
    return style
