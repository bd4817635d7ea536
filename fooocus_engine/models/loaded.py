"""A checkpoint in memory, the files merged into it at present, and its twin with an inpaint patch on top.

Merging changes the model in place and undoes the last merge first. The twin stands beside it and shares every weight
that no patch changes, so both can work in one job, and the next job with the same files finds both ready.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from fooocus_engine.models.collector import collector_paused
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.lora import changes_by_file, lora_changes, modules, stacked
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


@dataclass(eq=False)
class Loaded:
    """One checkpoint. ``model`` is the object that it was loaded as, whatever is merged into it."""

    model: DiffusionModel
    merged: Files = ()
    warnings: tuple[str, ...] = ()
    twin: Twin | None = None
    _memory: dict[str, Tensor] = field(default_factory=dict)
    """Weights of the last twin by name: a next one is written over them."""
    _borrowed: dict[str, Borrowed] = field(default_factory=dict)
    """By part of the model, as in ``lora.modules``."""

    def merge(self, files: Files) -> None:
        """Have exactly ``files`` merged, starting from the untouched weights; nothing happens if they are already."""
        if files == self.merged:
            return
        self.twin = None
        for borrowed in self._borrowed.values():
            borrowed.close()
        self._borrowed, self.merged, self.warnings = {}, (), ()
        with self._twin_let_go_of_by_an_error(), ExitStack() as undo:
            changes = lora_changes(self.model, _paths(files))
            applied = {
                part: undo.enter_context(apply_changes(module, changes.by_part.get(part, {})))
                for part, module in modules(self.model).items()
            }
            undo.pop_all()
        self._borrowed, self.merged, self.warnings = applied, files, changes.warnings

    def patched(self, patches: Files) -> Twin:
        """The twin with ``patches`` applied after what is merged; kept until others are asked for or ``unpatch``.

        A new twin takes the memory of the one before it, which is not to be used any more.
        """
        if self.twin is None or self.twin.patches != patches:
            self.twin = None  # first, so that two never take memory at once
            with self._twin_let_go_of_by_an_error():
                self.twin = self._twin(patches)
        return self.twin

    @property
    def twin_bytes(self) -> int:
        """Memory held for a twin beside the model's own."""
        return sum(weight.nbytes for weight in self._memory.values())

    def unpatch(self) -> None:
        """Let go of the twin and of its memory."""
        self.twin, self._memory = None, {}

    @contextmanager
    def _twin_let_go_of_by_an_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.unpatch()
            raise

    @collector_paused()
    def _twin(self, patches: Files) -> Twin:
        # Merged files and patches are summed before rounding, so a weight that both change starts from its original.
        files = changes_by_file(self.model, _paths(self.merged + patches))
        changes, touched = stacked(files), stacked(files[len(self.merged) :]).by_part.get(UNET, {})
        own = {name: change for name, change in changes.by_part.get(UNET, {}).items() if name in touched}
        self._memory = {name: weight for name, weight in self._memory.items() if name in own}
        unet = patched_twin(self.model.unet, own, self._originals(), self._memory)
        self._memory = {name: weight.detach() for name, weight in unet.named_parameters() if name in own}
        return Twin(patches, replace(self.model, unet=unet), changes.warnings)

    def _originals(self) -> dict[str, Tensor]:
        return dict(self._borrowed[UNET].originals) if UNET in self._borrowed else {}


def _paths(files: Files) -> list[tuple[Path, float]]:
    return [(version.path, strength) for version, strength in files]
