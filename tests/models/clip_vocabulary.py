"""CLIP's published vocabulary as tokenizer files, made from the data file of the package ``clip-anytorch``.

The package itself is not imported.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
from pathlib import Path

MERGES = 48_894  # 49 408 tokens − 512 byte symbols − start and end
FILE = "bpe_simple_vocab_16e6.txt.gz"


def published_file() -> Path | None:
    """Where the data file is installed; ``None`` without the package."""
    spec = importlib.util.find_spec("clip")  # of a top-level package: looks for it without running it
    folders = list(spec.submodule_search_locations or ()) if spec else []
    paths = (Path(folder) / FILE for folder in folders)
    return next((path for path in paths if path.is_file()), None)


def byte_symbols() -> list[str]:
    """The 256 bytes as characters in vocabulary order: printable Latin-1 as it is, the rest from U+0100 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [*map(chr, printable), *(chr(0x100 + n) for n in range(256 - len(printable)))]


def write_tokenizer(source: Path, folder: Path) -> Path:
    """``vocab.json`` and ``merges.txt`` in ``folder``."""
    lines = gzip.decompress(source.read_bytes()).decode("utf-8").split("\n")
    merges = lines[1 : 1 + MERGES]  # line 0 is a header
    symbols = byte_symbols()
    tokens = symbols + [f"{symbol}</w>" for symbol in symbols] + [merge.replace(" ", "") for merge in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: index for index, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    return folder
