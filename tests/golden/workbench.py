"""What replays need besides a record: the tiny models as an installed models folder, and an engine upon it."""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType

import torch
from safetensors.torch import load_file, save_file

from fooocus_engine.endpoints.resources import Resources
from fooocus_engine.models.catalogue import (
    CANNY_LORA,
    CONTROLNET,
    CPDS_LORA,
    FACE_ADAPTER,
    PROMPT_ADAPTER,
    Catalogue,
)
from fooocus_engine.models.store import ModelStore, Prepared
from fooocus_engine.output.storage import open_storage
from fooocus_engine.prompts.workload import Words
from fooocus_engine.settings import Settings
from fooocus_engine.types import ModelChoice
from tests.golden.records import OWN_RECORDS, tiny_folder

BASE = "tiny_sdxl.safetensors"
REFINER = "tiny_refiner.safetensors"
RECORDED_THREADS = 2
RESAMPLER_HEADS = 2  # of the tiny image-prompt adapters (records/README.md)
FOLDERS = {  # folder of the recordings' tiny models → models folder
    "loras": "loras",
    "embeddings": "embeddings",
    "expansion": "prompt_expansion/fooocus_expansion",
}
ADAPTERS = {
    "xlvaeapp.pth": "vae_approx",
    "fooocus_upscaler_s409985e5.bin": "upscale_models",
    "fooocus_inpaint_head.pth": "inpaint",
    "inpaint.fooocus.patch": "inpaint",
    "inpaint_v25.fooocus.patch": "inpaint",
    "inpaint_v26.fooocus.patch": "inpaint",
    CANNY_LORA: CONTROLNET,
    CPDS_LORA: CONTROLNET,
}
IMAGE_PROMPT_ADAPTERS = (PROMPT_ADAPTER, FACE_ADAPTER)


class Workbench:
    """A context manager; its folder of models goes when it ends.

    Everything runs on the CPU in float32 on as many threads as the recordings were made with: a sum's order depends on
    their number, and on the few channels of the tiny autoencoder that alone can pass a tolerance.
    """

    def __init__(self, directory: Path) -> None:
        self._tiny = tiny_folder(directory)
        self._opened = ExitStack()

    def __enter__(self) -> Workbench:
        self._opened.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(RECORDED_THREADS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    @cached_property
    def resources(self) -> Resources:
        """What the endpoints work with, on the recordings' models, styles and wildcards."""
        settings = Settings(models_dir=self._install(), device="cpu", dtype="float32")
        catalogue = Catalogue(settings.models_dir)
        return Resources(
            settings=settings,
            catalogue=catalogue,
            store=ModelStore(settings, catalogue),
            storage=open_storage(settings),
            words=self.words,
        )

    @cached_property
    def words(self) -> Words:
        """The recordings' styles and wildcards alone."""
        return Words.load([self._tiny / "styles"], [self._tiny / "wildcards"])

    @cached_property
    def known_loras(self) -> tuple[str, ...]:
        return tuple(self.resources.catalogue.names("loras"))

    def prepared(self, choice: ModelChoice | None = None) -> Prepared:
        """The models of ``choice``, by default the plain base; they stay until the next choice."""
        with self.resources.store.prepared(choice or ModelChoice(BASE)) as prepared:
            return prepared

    def _install(self) -> Path:
        models = Path(self._opened.enter_context(tempfile.TemporaryDirectory()))
        own = self._tiny / BASE
        base = own if own.is_file() else OWN_RECORDS / "tiny" / BASE
        checkpoints = models / "checkpoints"
        checkpoints.mkdir()
        (checkpoints / BASE).symlink_to(base.resolve())
        self._install_refiner(base, checkpoints / REFINER)
        for stem in (Path(BASE).stem, Path(REFINER).stem):
            shutil.copytree(self._tiny / "configs", checkpoints / stem)
            shutil.copytree(self._tiny / "tokenizer", checkpoints / stem / "tokenizer")
        for source, target in FOLDERS.items():
            shutil.copytree(self._tiny / source, models / target)
        install_adapters(self._tiny / "adapters", models)
        return models

    def _install_refiner(self, base: Path, path: Path) -> None:
        """The second model: the base file with the tensors of the delta in place of its own."""
        tensors = load_file(base) | load_file(self._tiny / "tiny_refiner_delta.safetensors")
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def install_adapters(adapters: Path, models: Path) -> None:
    """Every network that goes with the tiny models, each in its place."""
    for name, target in ADAPTERS.items():
        (models / target).mkdir(exist_ok=True)
        shutil.copy(adapters / name, models / target)
    install_image_prompt_adapters(adapters, models)


def install_image_prompt_adapters(adapters: Path, models: Path) -> None:
    """The tiny vision network and adapters, with what tensors cannot tell of them in companion folders."""
    vision, control = models / "clip_vision", models / "controlnet"
    (vision / "clip_vision_vit_h").mkdir(parents=True)
    shutil.copy(adapters / "clip_vision_vit_h.safetensors", vision)
    shutil.copy(adapters / "clip_vision_config.json", vision / "clip_vision_vit_h" / "vision.json")
    control.mkdir(exist_ok=True)
    shutil.copy(adapters / "fooocus_ip_negative.safetensors", control)
    for name in IMAGE_PROMPT_ADAPTERS:
        shutil.copy(adapters / name, control)
        companion = (control / name).with_suffix("")
        companion.mkdir()
        (companion / "resampler.json").write_text(json.dumps({"num_attention_heads": RESAMPLER_HEADS}))


def seeded(seed: int) -> torch.Generator:
    """A CPU generator with that seed."""
    return torch.Generator().manual_seed(seed)
