"""ModelStore: which models are in memory, with which files merged into them. The only owner of device memory.

Takes a ModelChoice, lends the models for the length of a ``with``. What the next choice shares with the last one stays
as it is; what it does not need is dropped before anything new is loaded. Used by one job at a time; knows no request.
"""

from __future__ import annotations

import gc
import hashlib
import logging
import math
import traceback
from collections.abc import Callable, Hashable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch

from fooocus_engine.errors import GpuOutOfMemory
from fooocus_engine.models.catalogue import (
    CHECKPOINTS,
    CLIP_TOKENIZER,
    INPAINT,
    INPAINT_HEAD,
    LORAS,
    UPSCALERS,
    VAE_APPROX,
    VAES,
    Catalogue,
)
from fooocus_engine.models.collector import collector_paused
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.families import load_base, load_refiner, load_vae
from fooocus_engine.models.families.checkpoint import Target
from fooocus_engine.models.inpaint_patch import InpaintHead
from fooocus_engine.models.interposer import Interposer
from fooocus_engine.models.loaded import Files, FileVersion, Loaded
from fooocus_engine.models.preview import PreviewDecoder
from fooocus_engine.models.upscaler import Upscaler
from fooocus_engine.settings import Settings
from fooocus_engine.types import ModelChoice, Weighted

PREVIEW_FILES = {"sdxl": "xlvaeapp.pth", "sdxl_refiner": "xlvaeapp.pth", "sd15": "vaeapp_sd15.pth"}
INTERPOSER_FILE = "xl-to-v1_interposer-v4.0.safetensors"
UPSCALER_FILE = "fooocus_upscaler_s409985e5.bin"
HASH_DIGITS = 10  # of a model's hash in metadata
HASH_BLOCK = 4 * 1024 * 1024  # bytes hashed between two looks whether anyone still wants it

T = TypeVar("T")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Prepared:
    """Models ready for use, for as long as the ``with`` lasts."""

    base: DiffusionModel
    refiner: DiffusionModel | None
    """Of a base with patches and no refiner of its own: the base without them, if that finishes (sampling.md §10.7)."""
    interposer: Interposer | None
    """For a refiner with a latent space of its own."""
    warnings: tuple[str, ...]
    """Sentences for the client: LoRA files and weights that were left out of the base."""


class Slot(NamedTuple):
    """A model in memory: what it is used as, and its file."""

    role: str
    """``base``, ``refiner`` or ``vae``."""
    version: FileVersion


class ModelStore:
    """Loads, keeps, merges and drops models."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self.target = target_of(settings)
        """Where models live, and what UNets compute in."""
        self._catalogue = catalogue
        self._kept: dict[Hashable, Any] = {}
        self._hashes: dict[FileVersion, str] = {}
        self._shipped = False  # whether the base lent last is a shipped one, whose companions are the shipped files

    @contextmanager
    def prepared(self, choice: ModelChoice) -> Iterator[Prepared]:
        """The models of ``choice``: base with its VAE override, LoRAs and base patches, refiner with the LoRAs alone.

        Merged files stay merged and patches applied afterwards, for the next choice that wants the same. A refiner that
        is the base's own file counts as none (sampling.md §10.1).

        Raises:
            ModelUnavailable: a file is not installed.
            BadModelFile: a file cannot be used, or the base is not SDXL-class.
            GpuOutOfMemory: the device ran full, while loading or inside the ``with``.
        """
        with self._memory_watched():
            yield self._ready(choice)

    def preview(self, family: str) -> PreviewDecoder | None:
        """The preview decoder for latents of ``family``; ``None`` where its file is not installed."""
        if not self._catalogue.has(VAE_APPROX, PREVIEW_FILES[family], embedded=self._shipped):
            return None
        path = self._catalogue.find(VAE_APPROX, PREVIEW_FILES[family], embedded=self._shipped)
        return self.resident(version_of(path), lambda target: PreviewDecoder.load(path, target.device, target.dtype))

    def interposer(self) -> Interposer:
        """SDXL latent → SD1.5 latent, for an SD1.5 refiner.

        Raises:
            ModelUnavailable, BadModelFile: its file is missing or cannot be used.
        """
        path = self._catalogue.find(VAE_APPROX, INTERPOSER_FILE, embedded=self._shipped)
        return self.resident(version_of(path), lambda target: Interposer.load(path, target.device, target.dtype))

    def upscaler(self, base: str) -> Upscaler:
        """The 4× network for pictures of the checkpoint ``base``, which need not be loaded. Always in float32: the
        published weights have not been compared in half precision (image-uov.md §3).

        Raises:
            ModelUnavailable, BadModelFile: its file is missing or cannot be used.
        """
        path = self._catalogue.find(UPSCALERS, UPSCALER_FILE, embedded=self._catalogue.is_embedded(base))
        return self.resident(version_of(path), lambda target: Upscaler.load(path, target.device, torch.float32))

    def inpaint_head(self, base: str) -> InpaintHead:
        """What shows the checkpoint ``base`` what is to be repainted.

        Raises:
            ModelUnavailable, BadModelFile: its file is missing or cannot be used.
        """
        path = self._catalogue.find(INPAINT, INPAINT_HEAD, embedded=self._catalogue.is_embedded(base))
        return self.resident(version_of(path), lambda target: InpaintHead.load(path, target.device))

    def resident(self, key: Hashable, load: Callable[[Target], T]) -> T:
        """Any other long-lived network: loaded by the first call with this key, kept until ``release``.

        Raises:
            GpuOutOfMemory: the device ran full; and whatever ``load`` raises.
        """
        with self._memory_watched():
            return self._keep(key, lambda: load(self.target))

    def short_hash(self, path: Path, check: Callable[[], None] = lambda: None) -> str:
        """The first ten hexadecimal digits of the file's SHA-256, read once for each version of the file.

        ``check`` is called at every block and may raise to give up.
        """
        version = version_of(path)
        if version not in self._hashes:
            digest, block = hashlib.sha256(), memoryview(bytearray(HASH_BLOCK))
            with path.open("rb", buffering=0) as file:
                while count := file.readinto(block):
                    check()
                    digest.update(block[:count])
            self._hashes[version] = digest.hexdigest()
        return self._hashes[version][:HASH_DIGITS]

    def release(self) -> None:
        """Let go of every model. The next use loads anew."""
        self._kept.clear()
        _free(self.target.device)

    def _ready(self, choice: ModelChoice) -> Prepared:
        self._shipped = self._catalogue.is_embedded(choice.base)
        base = Slot("base", self._version(CHECKPOINTS, choice.base))
        refiner = vae = None
        if choice.refiner is not None and choice.refiner != choice.base:
            refiner = Slot("refiner", self._version(CHECKPOINTS, choice.refiner))
        if choice.vae is not None:
            vae = Slot("vae", self._version(VAES, choice.vae))
        loras = self._versions(LORAS, choice.loras)
        patches = self._versions(INPAINT, choice.base_patches)
        self._make_room({base, refiner, vae})
        loaded = self._keep(base, lambda: Loaded(self._load_base(base.version.path)))
        loaded.merge(loras)
        prepared = self._patched(loaded, patches, unpatched_end=choice.finishes_unpatched)
        if vae:
            codec = self._keep(vae, lambda: load_vae(vae.version.path, self.target.device))
            prepared = replace(prepared, base=replace(prepared.base, codec=codec))
        if not refiner:
            return prepared
        second = self._keep(refiner, lambda: Loaded(self._load_refiner(refiner.version.path)))
        second.merge(loras)
        interposer = None if second.model.codec is None else self.interposer()
        return replace(prepared, refiner=second.model, interposer=interposer)

    def _patched(self, loaded: Loaded, patches: Files, *, unpatched_end: bool) -> Prepared:
        """The base alone, or its twin with patches and, where that is wanted, itself as the refiner."""
        if not patches:
            if loaded.twin is None or loaded.twin_bytes > _spare_bytes(self.target.device):
                loaded.unpatch()
            return Prepared(loaded.model, None, None, loaded.warnings)
        twin = loaded.patched(patches)
        plain = replace(loaded.model, codec=None, text=None) if unpatched_end else None
        return Prepared(twin.model, plain, None, twin.warnings)

    def _make_room(self, wanted: Set[Slot | None]) -> None:
        """Drop the models that are not wanted, before anything new is loaded."""
        dropped = [key for key in self._kept if isinstance(key, Slot) and key not in wanted]
        for slot in dropped:
            del self._kept[slot]
        if dropped:
            _free(self.target.device)

    def _keep(self, key: Hashable, load: Callable[[], T]) -> T:
        if key not in self._kept:
            with collector_paused():
                self._kept[key] = load()
        kept: T = self._kept[key]
        return kept

    def _load_base(self, path: Path) -> DiffusionModel:
        logger.info("loading base %s on %s", path.name, self.target.device)
        tokenizer = self._catalogue.folder(CLIP_TOKENIZER, embedded=self._shipped)
        return self._placed(load_base(path, self.target, tokenizer=tokenizer))

    def _load_refiner(self, path: Path) -> DiffusionModel:
        logger.info("loading refiner %s on %s", path.name, self.target.device)
        return self._placed(load_refiner(path, self.target))

    def _placed(self, model: DiffusionModel) -> DiffusionModel:
        if self.target.device.type == "cuda":
            model.unet.to(memory_format=torch.channels_last)
        return model

    def _version(self, kind: str, name: str) -> FileVersion:
        return version_of(self._catalogue.find(kind, name, embedded=self._shipped))

    def _versions(self, kind: str, files: tuple[Weighted, ...]) -> Files:
        return tuple((self._version(kind, name), strength) for name, strength in files)

    @contextmanager
    def _memory_watched(self) -> Iterator[None]:
        """Tell a full device by the house's own error."""
        try:
            yield
        except torch.OutOfMemoryError as error:
            traceback.clear_frames(error.__traceback__)  # they hold the tensors of the failed computation
            for loaded in self._kept.values():
                if isinstance(loaded, Loaded):
                    loaded.unpatch()
            _free(self.target.device)
            raise GpuOutOfMemory("The device ran out of memory", hint="a smaller picture needs less") from error


def target_of(settings: Settings) -> Target:
    """Device and UNet dtype of the settings; ``auto`` is CUDA in float16 if there is one, else the CPU in float32."""
    name = settings.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = getattr(torch, settings.dtype) if settings.dtype != "auto" else None
    dtype = dtype or (torch.float16 if name == "cuda" else torch.float32)
    # An engine that computes in float32 throughout also leaves LoRAs merged into the encoders unrounded.
    return Target(torch.device(name), dtype, torch.float32 if dtype == torch.float32 else torch.float16)


def version_of(path: Path) -> FileVersion:
    """The version of ``path`` on disk now."""
    status = path.stat()
    return FileVersion(path, status.st_mtime_ns, status.st_size)


def _spare_bytes(device: torch.device) -> float:
    """Memory of the device that nothing holds; of the CPU any amount, as the system finds room for what lies idle."""
    if device.type != "cuda":
        return math.inf
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def _free(device: torch.device) -> None:
    """Give memory back to the device: modules die with their last cycle, then the allocator lets go of its blocks."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
