"""What the listing questions may say. They hardly say anything. No torch."""

from __future__ import annotations

from fooocus_engine.endpoints.wire_types import Picture, WireModel


class NoFields(WireModel):
    """A question that takes no fields: styles, clean-vram, ping."""


class ModelsRequest(WireModel):
    """all-models and refresh-models."""

    details: bool = False
    """Answer every kind of file, and the presets, besides the two documented lists."""


class MetadataRequest(WireModel):
    """read-metadata."""

    image: Picture
    """Whose metadata is asked for."""
