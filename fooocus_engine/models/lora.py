"""LoRA-type files → changes of weights (models.md §6). One table of kinds; one list of deltas per weight.

Takes a DiffusionModel and resolved files with strengths, gives per part of the model the changes that ``patching``
applies, and warnings for what was left out. Changes nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fooocus_engine.errors import BadModelFile
from fooocus_engine.models import lora_deltas as kinds
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.lora_deltas import Delta, Formula
from fooocus_engine.models.lora_keys import Names, Weight, text_names, together, unet_names, usual_linears
from fooocus_engine.models.patching import Change
from fooocus_engine.models.weights import listed, read_file

MAX_UNKNOWN_KEYS = 12  # more of them and the whole file is left out (models.md §6.2)
ALPHA = ".alpha"
TEXT_PARTS = {"sdxl": ("clip_l", "clip_g"), "sdxl_refiner": ("clip_g",), "sd15": ("clip_l",)}


@dataclass(frozen=True)
class Kind:
    """One way to write a change: key suffix → role of the tensor in the formula."""

    formula: Formula
    required: Mapping[str, str]
    optional: Mapping[str, str] = field(default_factory=dict)
    of_bias: bool = False


def _prefixed(prefix: str, *roles: str) -> dict[str, str]:
    return {f"{prefix}{role}": role for role in roles}


def _up_down(up: str, down: str) -> dict[str, str]:
    return {up: "up", down: "down"}


def _lokr(*roles: str) -> Kind:
    return Kind(kinds.kronecker, _prefixed(".lokr_", *roles), _prefixed(".lokr_", "t2"))


KINDS = (
    Kind(kinds.low_rank, _up_down(".lora_linear_layer.up.weight", ".lora_linear_layer.down.weight")),
    Kind(kinds.low_rank, _up_down("_lora.up.weight", "_lora.down.weight")),
    Kind(kinds.low_rank, _up_down(".lora_up.weight", ".lora_down.weight"), {".lora_mid.weight": "mid"}),
    Kind(kinds.hadamard, _prefixed(".hada_", "w1_a", "w1_b", "w2_a", "w2_b"), _prefixed(".hada_", "t1", "t2")),
    _lokr("w1_a", "w1_b", "w2_a", "w2_b"),
    _lokr("w1_a", "w1_b", "w2"),
    _lokr("w1", "w2_a", "w2_b"),
    _lokr("w1", "w2"),
    Kind(kinds.generalised, {f".{role}.weight": role for role in ("a1", "a2", "b1", "b2")}),
    Kind(kinds.full, {".w_norm": "diff"}),
    Kind(kinds.full, {".b_norm": "diff"}, of_bias=True),
    Kind(kinds.full, {".diff": "diff"}),
    Kind(kinds.full, {".diff_b": "diff"}, of_bias=True),
)
"""In rising precedence: a later kind replaces an earlier one for the same weight."""

SUFFIXES = (ALPHA, *{suffix: None for kind in KINDS for suffix in (*kind.required, *kind.optional)})


@dataclass(frozen=True, eq=False)
class Matched:
    """A file sorted by the weights it speaks about."""

    deltas: Mapping[Weight, Delta]
    unknown: tuple[str, ...]
    """Keys that belong to no weight or to no kind."""


@dataclass(frozen=True, eq=False)
class Stack:
    """The changes of several files to one weight, in order: all in float32, rounded once at the end."""

    layers: tuple[tuple[Delta, float], ...]

    def __call__(self, pristine: Tensor, out: Tensor) -> None:
        if len(self.layers) == 1 and self.layers[0][0].goes_by_blocks(pristine.shape):
            delta, strength = self.layers[0]
            kinds.plus_quantised(pristine, delta.tensors, strength, out)
            return
        value = pristine.float()
        for delta, strength in self.layers:
            value = delta.added(value, strength)
        out.copy_(value)


def matched(tensors: Mapping[str, Any], names: Names) -> Matched:
    """Which change a file makes to which weight; the weight need not exist in the model.

    ``tensors`` holds tensors, or for a ``fooocus`` patch triples (levels, low, high).
    """
    deltas: dict[Weight, Delta] = {}
    groups: dict[str, dict[str, Tensor]] = {}
    unknown: list[str] = []
    for key, value in tensors.items():
        base, suffix = _split(key)
        if key in names.raw and not isinstance(value, Tensor):
            deltas[names.raw[key]] = _patch(*value)
        elif suffix and base in names.bases and isinstance(value, Tensor | float | int):  # torch files: plain alphas
            groups.setdefault(base, {})[suffix] = torch.as_tensor(value)
        else:
            unknown.append(key)
    for base, group in groups.items():
        used = {ALPHA}
        for kind in KINDS:
            if kind.required.keys() <= group.keys():
                deltas[_target(names.bases[base], kind)] = _delta(kind, group)
                used |= kind.required.keys() | kind.optional.keys()
        unknown += [base + suffix for suffix in group if suffix not in used]
    return Matched(deltas, tuple(unknown))


def _split(key: str) -> tuple[str, str]:
    """``key`` as base name and known suffix; an empty suffix if none is known."""
    suffix = next((suffix for suffix in SUFFIXES if key.endswith(suffix)), "")
    return key.removesuffix(suffix), suffix


def _delta(kind: Kind, group: Mapping[str, Tensor]) -> Delta:
    roles = {**kind.required, **kind.optional}
    tensors = {role: group[suffix] for suffix, role in roles.items() if suffix in group}
    return Delta(kind.formula, tensors, float(group[ALPHA]) if ALPHA in group else None)


def _target(weight: Weight, kind: Kind) -> Weight:
    if not kind.of_bias:
        return weight
    return Weight(weight.part, weight.parameter.removesuffix(".weight") + ".bias")


def _patch(levels: Tensor, low: Tensor | float, high: Tensor | float) -> Delta:
    tensors = {"levels": levels, "low": low, "high": high}
    return Delta(kinds.quantised, {role: torch.as_tensor(value) for role, value in tensors.items()})


@dataclass(frozen=True, eq=False)
class FileChanges:
    """What one file does to a model, with its strength."""

    deltas: Mapping[Weight, Delta]
    strength: float
    warning: str = ""
    """A sentence for the client about what was left out."""


@dataclass(frozen=True, eq=False)
class LoraChanges:
    """What a list of files does to a model."""

    by_part: Mapping[str, Mapping[str, Change]]
    """Part of the model (as in ``modules``) → parameter name → change."""
    warnings: tuple[str, ...]
    """Sentences for the client about files and weights that were left out."""


def lora_changes(model: DiffusionModel, files: Sequence[tuple[Path, float]]) -> LoraChanges:
    """The changes of ``files``, each with its strength, stacked in order (models.md §6.3).

    A strength of 0 leaves its file unread. Files of which more than 12 keys mean nothing to the model are left out.

    Raises:
        ModelUnavailable, BadModelFile: a file is missing or cannot be read.
    """
    return stacked(changes_by_file(model, files))


def changes_by_file(model: DiffusionModel, files: Sequence[tuple[Path, float]]) -> list[FileChanges]:
    """The changes of each of ``files``, in order; nothing of one with a strength of 0.

    Raises:
        ModelUnavailable, BadModelFile: as ``lora_changes``.
    """
    names = _names(model)
    shapes = {
        Weight(part, name): parameter.shape
        for part, module in modules(model).items()
        for name, parameter in module.named_parameters()
    }
    return [_changes(path, strength, names, shapes) for path, strength in files]


def stacked(files: Sequence[FileChanges]) -> LoraChanges:
    """The changes of several files to the same model, stacked in order."""
    layers: dict[Weight, list[tuple[Delta, float]]] = {}
    for file in files:
        for weight, delta in file.deltas.items():
            layers.setdefault(weight, []).append((delta, file.strength))
    by_part: dict[str, dict[str, Change]] = {}
    for (part, parameter), stack in layers.items():
        by_part.setdefault(part, {})[parameter] = Stack(tuple(stack))
    return LoraChanges(by_part, tuple(file.warning for file in files if file.warning))


def modules(model: DiffusionModel) -> dict[str, nn.Module]:
    """The parts of ``model`` that LoRA-type files can change: ``unet``, and ``clip_l``, ``clip_g`` if it has them."""
    parts: dict[str, nn.Module] = {"unet": model.unet}
    if model.text is not None:
        encoders = {"clip_l": model.text.clip_l, "clip_g": model.text.clip_g}
        parts |= {part: encoder for part, encoder in encoders.items() if encoder is not None}
    return parts


def _names(model: DiffusionModel) -> Names:
    kept = modules(model)
    texts = TEXT_PARTS[model.family]
    encoders = {part: dict(kept[part].named_parameters()) if part in kept else usual_linears(part) for part in texts}
    return together([unet_names(model.unet_names), *(text_names(part, names) for part, names in encoders.items())])


def _changes(path: Path, strength: float, names: Names, shapes: Mapping[Weight, torch.Size]) -> FileChanges:
    """The deltas of a file that the model can take, and a warning about the rest."""
    if strength == 0:
        return FileChanges({}, 0.0)
    tensors = read_file(path)
    try:
        file = matched(tensors, names)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadModelFile(f"{path.name}: not a LoRA-type file ({type(error).__name__})") from error
    if len(file.unknown) > MAX_UNKNOWN_KEYS:
        counts = f"{len(file.unknown)} of its {len(tensors)} keys"
        left_out = f"LoRA {path.name!r} was left out: {counts} belong to no weight of this model"
        return FileChanges({}, strength, left_out)
    present = {weight: delta for weight, delta in file.deltas.items() if weight in shapes}
    fitting = {weight: delta for weight, delta in present.items() if delta.fits(shapes[weight])}
    if len(fitting) == len(present):
        return FileChanges(fitting, strength)
    misfits = listed(weight.parameter for weight in present.keys() - fitting.keys())
    left = f"LoRA {path.name!r} does not fit these weights, which it left as they were: {misfits}"
    return FileChanges(fitting, strength, left)
