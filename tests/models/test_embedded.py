"""The shipped models folder as a whole."""

from __future__ import annotations

from fooocus_engine.models.catalogue import EMBEDDED

MOST_BYTES = 24_000_000


def test_the_shipped_models_take_at_most_24_megabytes():
    sizes = [path.stat().st_size for path in EMBEDDED.rglob("*") if path.is_file()]
    assert sizes
    assert sum(sizes) <= MOST_BYTES
