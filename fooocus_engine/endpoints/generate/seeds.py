"""The seed of a request that leaves it to the server. No torch."""

from __future__ import annotations

import secrets

from fooocus_engine.endpoints.generate.contract import MAX_SEED, GenerateRequest


def with_seed(request: GenerateRequest) -> GenerateRequest:
    """``request`` with a drawn seed in place of -1, from a source that no job can influence (prompt.md §4)."""
    if request.image_seed >= 0:
        return request
    return request.model_copy(update={"image_seed": secrets.randbelow(MAX_SEED + 1)})
