"""Which picture format a caller asks for instead of JSON (api.md §4.2, §4.10). Pure."""

from __future__ import annotations

from fooocus_engine.output.encode import MEDIA_TYPES

FORMATS = {**{media: extension for extension, media in MEDIA_TYPES.items()}, "image/jpg": "jpeg"}
"""Media type → save extension."""
ANY_PICTURE = "image/*"
JSON_TYPES = ("*/*", "application/*", "application/json")


def raw_format(query: str, header: str, save_extension: str) -> str | None:
    """The extension of the format that raw bytes are asked in; ``None``: JSON is.

    A query that is not empty wins over the header. Browsers, who take pictures as well as pages, get JSON.
    """
    if wanted := query.strip().lower():
        return wanted if wanted in MEDIA_TYPES else _extension(wanted, save_extension)
    ranges = _ranges(header)
    if any(name == "text/html" for name, _ in ranges):
        return None
    best = max((quality for _, quality in ranges), default=0.0)
    for name, quality in ranges:
        if quality == best and best > 0:
            if name in JSON_TYPES:
                return None
            if extension := _extension(name, save_extension):
                return extension
    return None


def stored_format(header: str) -> str | None:
    """The extension that a stored picture is to be converted to: only a header that is one known type, exactly."""
    return FORMATS.get(header.strip().lower())


def prefers_text(header: str) -> bool:
    """Whether plain text or a page is wanted rather than JSON."""
    ranges = _ranges(header)
    quality = dict(reversed(ranges))
    text = max(quality.get("text/plain", 0.0), quality.get("text/html", 0.0))
    return text > quality.get("application/json", 0.0)


def _extension(name: str, save_extension: str) -> str | None:
    return save_extension if name == ANY_PICTURE else FORMATS.get(name)


def _ranges(header: str) -> list[tuple[str, float]]:
    """The media types of an Accept header with their quality, in order; unreadable qualities count as 0."""
    found = []
    for part in header.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        found.append((name, _number(quality)))
    return [(name, quality) for name, quality in found if name]


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 <= value <= 1 else 0.0
