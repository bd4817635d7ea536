"""``python -m builder.starter.gallery FOLDER``: the README's pictures, and the table that shows them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from builder.starter.painter import Painter, Wanted, add_arguments

SEED = 42
PROMPTS = (
    "a small red circle on a blue background",
    "two yellow stars above a green square at night",
    "a large striped orange heart in the snow",
    "three pink diamonds on a black background",
    "a large purple ring over the sea",
    "a big dotted brown square on the beach",
    "a black triangle next to a blue circle at sunset",
    "a huge red heart on a meadow, on the left",
)
COLUMNS = 4


def main() -> None:
    """Paint and print the table."""
    parser = argparse.ArgumentParser(prog="python -m builder.starter.gallery", description=__doc__)
    parser.add_argument("folder", type=Path)
    add_arguments(parser)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    painter = Painter(given.models, given.model)
    for prompt in PROMPTS:
        painter.picture(Wanted(prompt, SEED)).save(given.folder / file_name(prompt), optimize=True)
    sys.stdout.write(table(given.folder))


def file_name(prompt: str) -> str:
    """Of the picture of ``prompt``."""
    return f"{'-'.join(prompt.replace(',', '').split())}.png"


def table(folder: Path) -> str:
    """A Markdown table, pictures above their prompts."""
    lines = []
    for start in range(0, len(PROMPTS), COLUMNS):
        row = PROMPTS[start : start + COLUMNS]
        shown = (f"![{prompt}]({(folder / file_name(prompt)).as_posix()})" for prompt in row)
        lines.append("| " + " | ".join(shown) + " |")
        if start == 0:
            lines.append("|" + ":---:|" * COLUMNS)
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
