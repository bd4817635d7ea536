"""Wildcards: `__name__` in a text becomes a line of the file `name.txt` (prompt.md §5).

Files are read once, when the object is made; a request can only name what was found then. Draws from a generator that
is handed in. Knows nothing of prompts, negatives or styles.
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fooocus_engine.errors import InvalidRequest, Location, Problem
from fooocus_engine.models.catalogue import files_below

SHIPPED = Path(__file__).parent / "data" / "wildcards"
MAX_PASSES = 64  # values may hold wildcards, but not without end (prompt.md §5)
MAX_CHARACTERS = 100_000  # of a text with wildcards: files that name each other twice double it in every pass

logger = logging.getLogger(__name__)

_PLACEHOLDER = re.compile(r"__([\w-]+)__")


@dataclass(frozen=True)
class WildcardFiles:
    """The lines of every wildcard file by name. Empty lines are left out, others are kept as they stand."""

    lines: Mapping[str, tuple[str, ...]]

    @classmethod
    def load(cls, folders: Iterable[Path]) -> WildcardFiles:
        """All ``.txt`` files of ``folders``; a name in a later folder replaces that of an earlier one.

        Inside one folder the first file of a name counts, deeper folders first. A missing folder is an empty one; a
        file that is not UTF-8 text counts as empty.
        """
        lines: dict[str, tuple[str, ...]] = {}
        for folder in folders:
            own: dict[str, tuple[str, ...]] = {}
            for path in files_below(folder, [".txt"]):
                if path.stem not in own:
                    own[path.stem] = _read(path)
            lines |= own
        return cls(lines)

    def apply(
        self, text: str, rng: random.Random, *, index: int, in_order: bool, loc: Location = ("body", "prompt")
    ) -> str:
        """``text`` with its wildcards filled: by ``rng``, or ``in_order`` with line ``index`` modulo their number.

        A name without lines loses its underscores. After 64 passes the text is taken as it is. ``loc`` says where the
        client wrote the text.

        Raises:
            InvalidRequest: the text outgrows 100 000 characters.
        """
        for _ in range(MAX_PASSES):
            names = _PLACEHOLDER.findall(text)
            if not names:
                break
            for name in names:
                lines = self.lines.get(name)
                if not lines:
                    text = text.replace(f"__{name}__", name)
                    continue
                line = lines[index % len(lines)] if in_order else rng.choice(lines)
                text = text.replace(f"__{name}__", line, 1)
                _check_length(text, name, loc)
        return text


def _check_length(text: str, name: str, loc: Location) -> None:
    if len(text) > MAX_CHARACTERS:
        reason = f"wildcard __{name}__ makes a text longer than the allowed {MAX_CHARACTERS} characters"
        raise InvalidRequest([Problem("prompt_too_long", loc, reason)])


def _read(path: Path) -> tuple[str, ...]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        logger.warning("wildcard file %s is not readable as UTF-8 text (%s)", path.name, type(error).__name__)
        return ()
    return tuple(line for line in text.splitlines() if line)
