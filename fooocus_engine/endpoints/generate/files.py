"""Which model files a request comes down to: named ones must exist, defaults that are missing are left out. No torch.

Takes a validated request and the catalogue; gives names, warnings and problems, never a path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from fooocus_engine.endpoints.generate.contract import GenerateRequest
from fooocus_engine.endpoints.generate.image_prompts import Kind
from fooocus_engine.endpoints.generate.inpaint_outpaint import RepaintRequest
from fooocus_engine.endpoints.generate.performance import Mode
from fooocus_engine.endpoints.generate.plan import Steering
from fooocus_engine.endpoints.generate.presets import NO_MODEL, preset_named, presets
from fooocus_engine.errors import InvalidRequest, Location, ModelUnavailable, Problem, unknown_name
from fooocus_engine.models.catalogue import (
    CANNY_LORA,
    CHECKPOINTS,
    CLIP_VISION,
    CONTROLNET,
    CPDS_LORA,
    FACE_ADAPTER,
    FACE_DETECTOR,
    INPAINT,
    INPAINT_HEAD,
    INPAINT_PATCHES,
    LORAS,
    PROMPT_ADAPTER,
    PROMPT_NEGATIVE,
    VAES,
    VISION_TOWER,
    Catalogue,
)
from fooocus_engine.types import MODEL_VAE, Weighted

CONTROL_LORAS: Mapping[Kind, str] = MappingProxyType({Kind.CANNY: CANNY_LORA, Kind.CPDS: CPDS_LORA})
ADAPTERS: Mapping[Kind, str] = MappingProxyType({Kind.IMAGE: PROMPT_ADAPTER, Kind.FACE: FACE_ADAPTER})
"""What makes a kind of picture steer: every kind is in one of the two."""
FOR_ALL_ADAPTERS = ((CLIP_VISION, VISION_TOWER), (CONTROLNET, PROMPT_NEGATIVE))


@dataclass
class Files:
    """The files of one request, and what there is to say about them."""

    base: str = ""
    shipped: bool = False
    """The base is the shipped model; its companions are the shipped files."""
    refiner: str | None = None
    vae: str | None = None
    loras: tuple[Weighted, ...] = ()
    """Those of the request; prompt and performance LoRAs come later."""
    patches: tuple[Weighted, ...] = ()
    """Of the base alone: the inpaint engine's."""
    warnings: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def choose_files(request: GenerateRequest, mode: Mode, catalogue: Catalogue) -> Files:
    """The installed files that ``request`` means (models.md §3, §4); suffixes may be left out, as in metadata.

    Raises:
        InvalidRequest: a file that the request names does not exist; lists near matches of every such name.
        ModelUnavailable: the default checkpoint, the performance mode's LoRA or a part of the inpaint engine that the
            request names is not installed.
    """
    files = Files()
    _choose_base(files, request, catalogue)
    files.refiner = None if mode.forced else _optional(files, request, catalogue, _REFINER)
    files.refiner = None if files.refiner == files.base else files.refiner
    files.vae = _optional(files, request, catalogue, _VAE)
    _choose_loras(files, request, catalogue)
    if files.problems:
        raise InvalidRequest(files.problems)
    if mode.lora and not catalogue.has(LORAS, mode.lora[0], embedded=files.shipped):
        raise ModelUnavailable(
            f"{request.performance_selection.value} needs {mode.lora[0]}, which is not installed in {LORAS}"
        )
    if isinstance(request, RepaintRequest) and request.input_image is not None:
        _choose_patches(files, request, catalogue)
    return files


def _choose_base(files: Files, request: GenerateRequest, catalogue: Catalogue) -> None:
    preset, name = preset_named(request.preset), catalogue.full_name(CHECKPOINTS, request.base_model_name)
    old_names = {*preset.previous_default_models, *presets()["default"].previous_default_models}
    if catalogue.has(CHECKPOINTS, name):
        files.base = name
    elif "base_model_name" in request.given and name not in old_names:
        files.base = name
        known = catalogue.names(CHECKPOINTS)
        files.problems.append(unknown_name("base model", name, known, ("body", "base_model_name")))
    else:  # an old name of the default checkpoint asks for the default one (api.md §1.2)
        chosen = catalogue.default_checkpoint(preset.base_model_name, preset.previous_default_models)
        files.base = chosen.name
        if chosen.shipped:
            files.warnings.append(
                f"{preset.base_model_name} is not installed and there is no other checkpoint; the small shipped model "
                f"{chosen.name} stands in for it"
            )
    files.shipped = catalogue.is_embedded(files.base)


@dataclass(frozen=True)
class _Slot:
    """A file that may be absent: how the request names it and what its absence is called."""

    label: str
    kind: str
    loc: Location
    empty: str

    @property
    def given_as(self) -> str:
        return ".".join(str(part) for part in self.loc[1:])


_REFINER = _Slot("refiner model", CHECKPOINTS, ("body", "refiner_model_name"), NO_MODEL)
_VAE = _Slot("VAE", VAES, ("body", "advanced_params", "vae_name"), MODEL_VAE)


def _optional(files: Files, request: GenerateRequest, catalogue: Catalogue, slot: _Slot) -> str | None:
    name = request.refiner_model_name if slot is _REFINER else request.advanced_params.vae_name
    if name == slot.empty:
        return None
    name = catalogue.full_name(slot.kind, name, embedded=files.shipped)
    if catalogue.has(slot.kind, name, embedded=files.shipped):
        return name
    if slot.given_as in request.given:
        known = [slot.empty, *catalogue.names(slot.kind, embedded=files.shipped)]
        files.problems.append(unknown_name(slot.label, name, known, slot.loc))
    else:
        files.warnings.append(f"the default {slot.label} {name} is not installed; it is left out")
    return None


def _choose_loras(files: Files, request: GenerateRequest, catalogue: Catalogue) -> None:
    chosen: list[Weighted] = []
    for index, lora in enumerate(request.loras):
        if not lora.in_use:
            continue
        name = catalogue.full_name(LORAS, lora.model_name, embedded=files.shipped)
        if catalogue.has(LORAS, name, embedded=files.shipped):
            chosen.append((name, lora.weight))
        elif "loras" in request.given:
            known = catalogue.names(LORAS, embedded=files.shipped)
            loc = ("body", "loras", index, "model_name")
            files.problems.append(unknown_name("LoRA", lora.model_name, known, loc))
        else:
            files.warnings.append(f"the default LoRA {lora.model_name} is not installed; it is left out")
    files.loras = tuple(chosen)


def _choose_patches(files: Files, request: RepaintRequest, catalogue: Catalogue) -> None:
    engine = request.advanced_params.inpaint_engine
    if engine == NO_MODEL:
        return
    patch = INPAINT_PATCHES[engine]
    missing = [name for name in (INPAINT_HEAD, patch) if not catalogue.has(INPAINT, name, embedded=files.shipped)]
    if not missing:
        files.patches = ((patch, 1.0),)
        return
    needed = f"inpaint engine {engine} needs {' and '.join(missing)}, not installed in {INPAINT}"
    if "advanced_params.inpaint_engine" in request.given:
        raise ModelUnavailable(needed, hint=f"engine {NO_MODEL!r} needs no file")
    files.warnings.append(f"the default {needed}; it is left out")


def require_steering(steering: Steering, catalogue: Catalogue, *, shipped: bool, inspected: bool) -> None:
    """Return if all files are there that make pictures steer; to be ``inspected``, they need fewer.

    Raises:
        ModelUnavailable: names those that are missing.
    """
    for task in steering.tasks:
        needed = () if inspected else tuple(_steering_files(task.kind))
        if task.kind is Kind.FACE and not steering.preprocessed:
            needed += ((CONTROLNET, FACE_DETECTOR),)
        missing = [f"{kind}/{name}" for kind, name in needed if not catalogue.has(kind, name, embedded=shipped)]
        if missing:
            raise ModelUnavailable(f"{task.kind.value} needs {' and '.join(missing)}, not installed")


def _steering_files(kind: Kind) -> Iterator[tuple[str, str]]:
    """Kind and name of each."""
    if kind in CONTROL_LORAS:
        yield CONTROLNET, CONTROL_LORAS[kind]
    else:
        yield CONTROLNET, ADAPTERS[kind]
        yield from FOR_ALL_ADAPTERS
