"""The small languages of a prompt: lines, `<lora:…>` tags, `[[a, b]]` arrays, `(emphasis:1.2)` (prompt.md §§2–11).

Text in, text and numbers out; every function is pure. Knows no file, no style, no seed and no tokenizer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from fooocus_engine.types import Weighted

NO_FILE = "None"  # file name of an empty LoRA slot
EMPHASIS = 1.1  # factor of one pair of parentheses (prompt.md §11)

_LORA_TAG = re.compile(r"<lora:([^:]+):([+-]?(?:\d+(?:\.\d*)?|\.\d+))>")
_ARRAY = re.compile(r"\[\[(.*?)\]\]")
_SYMBOL = re.compile(r"\\[()]|.", re.DOTALL)  # an escaped parenthesis is one symbol, so it never opens or closes


def safe_str(text: str) -> str:
    """``text`` with runs of blanks made one and commas, full stops and white space off both ends (prompt.md §2)."""
    for _ in range(16):
        text = text.replace("  ", " ")
    return text.strip(",. \r\n")


def prompt_lines(text: str) -> list[str]:
    """The cleaned lines of ``text`` without empty ones; ``[""]`` if none is left. The first is the prompt proper."""
    lines = [safe_str(line) for line in text.splitlines()]
    return [line for line in lines if line] or [""]


def take_inline_loras(line: str, known_files: Sequence[str], excluded_file: str | None) -> tuple[str, list[Weighted]]:
    """``line`` without its LoRA tags and with its commas tidied, and the (file, weight) each tag found, in order.

    A tag names the stem of one of ``known_files`` (relative paths), of which the first match counts and those whose
    file name is ``excluded_file`` do not. A tag that names none is dropped. The line is tidied even without tags, so
    ``a,b`` becomes ``a, b`` (prompt.md §3).
    """
    files: dict[str, str] = {}
    for file in known_files:
        path = PurePosixPath(file)
        if path.name != excluded_file:
            files.setdefault(path.stem, file)
    # Tags are sought between commas: a name with a comma in it is no name.
    pieces = line.split(",")
    tags = [tag for piece in pieces for tag in _LORA_TAG.findall(piece)]
    found = [(files[name], float(weight)) for name, weight in tags if name in files]
    return _tidied(", ".join(_LORA_TAG.sub("", piece) for piece in pieces)), found


def _tidied(line: str) -> str:
    line = re.sub(",+", ",", re.sub(" +", " ", line))
    return ", ".join(piece.strip() for piece in line.split(",") if piece.strip())


def merged_loras(requested: Sequence[Weighted], inline: Iterable[Weighted], limit: int) -> list[Weighted]:
    """LoRAs of the request, then those of the prompt that are new, cut to ``limit`` (prompt.md §3).

    New is a file that the request does not use, each (file, weight) once. Without a new one the request's list comes
    back as it is, whatever its length.
    """
    in_use = {file for file, _ in requested}
    new = dict.fromkeys(lora for lora in inline if lora[0] not in in_use)
    if not new:
        return list(requested)
    return [lora for lora in (*requested, *new) if lora[0] != NO_FILE][:limit]


def choose_arrays(text: str, index: int) -> str:
    """``text`` with each ``[[a, b]]`` replaced by one of its words: the combination number ``index``.

    The first array varies fastest, and the count starts again after the last combination (prompt.md §6).
    """
    for inner in _ARRAY.findall(text):
        words = inner.split(",")
        text = text.replace(f"[[{inner}]]", words[index % len(words)], 1)
        index //= len(words)
    return text


def emphasis(text: str) -> list[tuple[str, float]]:
    """The segments of ``text`` with their weights: ``a (cat) b`` → ``a `` 1, ``cat`` 1.1, `` b`` 1 (prompt.md §11).

    Nested parentheses multiply; a number behind a colon replaces the weight. Joined segments are ``text`` without
    the markup; a text without characters has no segments.
    """
    segments: list[tuple[str, float]] = []
    symbols: list[str] = _SYMBOL.findall(text)
    closing = _closing(symbols)
    # A stack of spans and neither recursion nor copies: clients choose the depth.
    pending = [(0, len(symbols), 1.0, False)]
    while pending:
        start, end, weight, finished = pending.pop()
        if finished:
            segments.append((_plain(symbols[start:end]), weight))
            continue
        for first, last in reversed(list(_items(symbols, closing, start, end))):
            if last - first > 1 and symbols[first] == "(" and symbols[last - 1] == ")":
                pending.append((first + 1, *_opened(symbols, first + 1, last - 1, weight), False))
            else:
                pending.append((first, last, weight, True))
    return segments


def _closing(symbols: Sequence[str]) -> list[int]:
    """For each ``(`` where its group ends: past the end if nowhere, 0 if it opens none.

    A stray ``)`` takes the next ``(`` with it, and both are text.
    """
    closing = [0] * len(symbols)
    opened: list[int] = []
    strays = 0
    for i, symbol in enumerate(symbols):
        if symbol == "(" and strays:
            strays -= 1
        elif symbol == "(":
            opened.append(i)
            closing[i] = len(symbols)
        elif symbol == ")" and opened:
            closing[opened.pop()] = i
        elif symbol == ")":
            strays += 1
    return closing


def _items(symbols: Sequence[str], closing: Sequence[int], start: int, end: int) -> Iterator[tuple[int, int]]:
    """Spans of the outermost ``(…)`` groups and of what stands between them; a group left open takes all the rest."""
    first = i = start
    while i < end:
        if symbols[i] == "(" and closing[i]:
            if first < i:
                yield first, i
            first, i = i, min(closing[i] + 1, end)
            if closing[first] < end:
                yield first, i
                first = i
        else:
            i += 1
    if first < end:
        yield first, end


def _opened(symbols: Sequence[str], start: int, end: int, weight: float) -> tuple[int, float]:
    """Where a group's content ends and its weight: ``weight`` · 1.1, or the number after its last colon."""
    colon = end - 1
    while colon > start and symbols[colon] not in (":", "(", ")"):
        colon -= 1
    if colon > start and symbols[colon] == ":":
        try:
            return colon, float("".join(symbols[colon + 1 : end]))
        except ValueError:
            return end, weight * EMPHASIS
    return end, weight * EMPHASIS


def _plain(symbols: Iterable[str]) -> str:
    return "".join(symbol[-1] for symbol in symbols)  # of an escape only the parenthesis stays
