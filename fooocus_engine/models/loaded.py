"""A checkpoint in memory, the files merged into it at present, and its twin with an inpaint patch on top.

Merging changes the model in place and undoes the last merge first. The twin stands beside it and shares every weight
that no patch changes, so both can work in one job, and the next job with the same files finds both ready.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.lora import LoraChanges, lora_changes, modules
from fooocus_engine.models.patching import Borrowed, apply_changes, patched_twin

UNET = "unet"


class FileVersion(NamedTuple):
    """A file as it lies on disk now; a replaced one is another version."""

    path: Path
    changed_ns: int
    size: int


Files = tuple[tuple[FileVersion, float], ...]
"""Files with their strengths, in the order in which they are applied."""


@dataclass(frozen=True, eq=False)
class Twin:
    """The same model with patches on its UNet."""

    patches: Files
    model: DiffusionModel
    warnings: tuple[str, ...]
    """About what is merged and the patches."""

    @property
    def bytes(self) -> int:
        """Memory that its own weights take, at most."""
        return sum(weight.nbytes for weight in self.model.unet.parameters())


@dataclass(eq=False)
class Loaded:
    """One checkpoint. ``model`` is the object that it was loaded as, whatever is merged into it."""

    model: DiffusionModel
    merged: Files = ()
    warnings: tuple[str, ...] = ()
    twin: Twin | None = None
    _borrowed: dict[str, Borrowed] = field(default_factory=dict)
    """By part of the model, as in ``lora.modules``."""

    def merge(self, files: Files) -> None:
        """Have exactly ``files`` merged, starting from the untouched weights; nothing happens if they are already."""
        if files == self.merged:
            return
        self.unpatch()
        for borrowed in self._borrowed.values():
            borrowed.close()
        self._borrowed, self.merged, self.warnings = {}, (), ()
        changes = self._changes(files)
        with ExitStack() as undo:
            applied = {
                part: undo.enter_context(apply_changes(module, changes.by_part.get(part, {})))
                for part, module in modules(self.model).items()
            }
            undo.pop_all()
        self._borrowed, self.merged, self.warnings = applied, files, changes.warnings

    def patched(self, patches: Files) -> Twin:
        """The twin with ``patches`` applied after what is merged; kept until others are asked for or ``unpatch``."""
        if self.twin is None or self.twin.patches != patches:
            self.unpatch()  # first, so that two never take memory at once
            self.twin = self._twin(patches)
        return self.twin

    def unpatch(self) -> None:
        """Let go of the twin."""
        self.twin = None

    def _twin(self, patches: Files) -> Twin:
        # Merged files and patches are summed before rounding, so a weight that both change starts from its original.
        changes, touched = self._changes(self.merged + patches), self._changes(patches).by_part.get(UNET, {})
        own = {name: change for name, change in changes.by_part.get(UNET, {}).items() if name in touched}
        unet = patched_twin(self.model.unet, own, self._originals())
        return Twin(patches, replace(self.model, unet=unet), changes.warnings)

    def _originals(self) -> dict[str, Tensor]:
        return dict(self._borrowed[UNET].originals) if UNET in self._borrowed else {}

    def _changes(self, files: Files) -> LoraChanges:
        return lora_changes(self.model, [(version.path, strength) for version, strength in files])
