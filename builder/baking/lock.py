"""The lock file: size and SHA-256 of every file that was ever baked, so that the next bake gets the same bytes.

A row is added when a file is fetched whose digest nobody knew. What the catalogue knows needs no row. Written whole and
at once, never in part.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from builder.baking.choice import path_of
from builder.baking.errors import BadChoice
from fooocus_engine.models.catalogue import KnownFile


@dataclass(frozen=True)
class Facts:
    """What is known of a file's content. ``None``: not known."""

    bytes: int | None = None
    sha256: str | None = None
    md5: str | None = None


@dataclass(frozen=True)
class Row:
    """A file as it came from ``source``; ``kept`` are the digest and size after a conversion, else ``None``."""

    source: str
    bytes: int
    sha256: str
    kept: Facts | None = None


@dataclass
class Lock:
    """The rows by path in the models folder."""

    file: Path
    rows: dict[str, Row] = field(default_factory=dict)

    def facts(self, known: KnownFile) -> Facts:
        """What ``known`` must be, by the catalogue first, then by the lock. A row of another source does not count.

        Raises:
            BadChoice: catalogue and lock differ.
        """
        row = self.row(known)
        if row and known.sha256 and row.sha256 != known.sha256:
            raise BadChoice(f"{self.file.name} has another sha256 for {path_of(known)} than the catalogue")
        return Facts(row.bytes if row else None, known.sha256 or (row.sha256 if row else None), known.md5)

    def row(self, known: KnownFile) -> Row | None:
        """The row of ``known``, unless it came from elsewhere."""
        row = self.rows.get(path_of(known))
        return row if row and row.source == known.source else None

    def note(self, known: KnownFile, row: Row) -> None:
        """Remember ``row``, and write the file if that is news."""
        if self.rows.get(path_of(known)) != row:
            self.rows[path_of(known)] = row
            self._write()

    def _write(self) -> None:
        rows = {path: _as_json(row) for path, row in sorted(self.rows.items())}
        part = self.file.with_name(f"{self.file.name}.part")
        part.write_text(json.dumps({"files": rows}, indent=1) + "\n", encoding="utf-8")
        os.replace(part, self.file)


def read_lock(file: Path) -> Lock:
    """The lock in ``file``; empty where there is no file yet.

    Raises:
        BadChoice: it is no lock file.
    """
    if not file.exists():
        return Lock(file)
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))["files"]
        return Lock(file, {path: _row(content) for path, content in rows.items()})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadChoice(f"{file} is no lock file of a bake ({type(error).__name__})") from None


def _row(content: Mapping[str, object]) -> Row:
    kept = content.get("kept")
    return Row(
        source=str(content["source"]),
        bytes=int(str(content["bytes"])),
        sha256=str(content["sha256"]),
        kept=Facts(**kept) if isinstance(kept, dict) else None,
    )


def _as_json(row: Row) -> dict[str, object]:
    content = asdict(row)
    if row.kept is None:
        del content["kept"]
    else:
        content["kept"] = {"bytes": row.kept.bytes, "sha256": row.kept.sha256}
    return content
