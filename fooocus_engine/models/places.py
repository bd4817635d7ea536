"""Where models may lie: the named folders; or the baked one, the platform's cached model, the network volume. No torch.

Takes settings, looks at the disk once, gives the catalogue. No folder needs to be there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from fooocus_engine.models.catalogue import CHECKPOINTS, Catalogue
from fooocus_engine.settings import Settings

CACHE = Path("huggingface-cache/hub")
"""Of a volume: where the platform keeps the repository that an endpoint names as its model (platform.md §11)."""
ON_VOLUME = "models"

logger = logging.getLogger(__name__)


def installed(settings: Settings) -> Catalogue:
    """The catalogue of every place that ``settings`` name, in the order in which names are looked up."""
    named = (settings.models_dir, *settings.more_models_dirs)
    if settings.volume_dir is None:
        return Catalogue(named[0], more_dirs=named[1:])
    cached = tuple(_snapshots(settings.volume_dir / CACHE))
    folders = tuple(path for path in cached if (path / CHECKPOINTS).is_dir())
    return Catalogue(
        named[0],
        more_dirs=(*named[1:], *folders, settings.volume_dir / ON_VOLUME),
        repositories=tuple(path for path in cached if path not in folders),
    )


def _snapshots(hub: Path) -> Iterator[Path]:
    """The snapshot that ``refs/main`` of each cached repository names; others are passed over with a word."""
    for repository in sorted(hub.glob("models--*")):
        try:
            revision = (repository / "refs" / "main").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            logger.warning("the cached model %s is passed over: %s", repository.name, type(error).__name__)
            continue
        snapshot = repository / "snapshots" / revision
        if revision.isalnum() and snapshot.is_dir():
            yield snapshot
        else:
            logger.warning("the cached model %s is passed over: it has no snapshot of refs/main", repository.name)
