"""One job while it runs: what it reports, in numbers and words, and how it learns that nobody wants it any more.

The conductor says what it does now; the percentages of sampling.md §14 and api.md §5 item 9 are made here and
nowhere else. Knows nothing of torch, pictures or the platform: events go to a sink that is handed in.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate

from fooocus_engine.errors import JobCanceled
from fooocus_engine.jobs.events import Canceled, Event, Failed, Finished, ImageReady, Sink, Stage, Step

SAMPLING_FROM = 15  # percent at the first step; the steps share the rest up to 100
LAST_RUNNING = 99  # 100 means finished and stored


class Phase(Enum):
    """What comes before sampling: the text, and whether the percentage goes up by one where the phase begins."""

    FEW_STEP_LORA = ("Downloading {} components ...", False)
    UPSCALE_MODELS = ("Downloading upscale models ...", False)
    INPAINTER = ("Downloading inpainter ...", False)
    CONTROL_FILES = ("Downloading control models ...", False)
    CONTROL_MODELS = ("Loading control models ...", False)
    INITIALIZING = ("Initializing ...", False)
    LOADING_MODELS = ("Loading models ...", True)
    PROCESSING_PROMPTS = ("Processing prompts ...", True)
    EXPANDING = ("Preparing Fooocus text #{} ...", True)
    ENCODING_POSITIVE = ("Encoding positive #{} ...", True)
    ENCODING_NEGATIVE = ("Encoding negative #{} ...", True)
    IMAGE_PROCESSING = ("Image processing ...", True)
    UPSCALING = ("Upscaling image from {} ...", True)
    ENCODING_MASKED = ("VAE Inpaint encoding ...", True)
    ENCODING_SD15 = ("VAE SD15 encoding ...", True)
    ENCODING_GIVEN = ("VAE encoding ...", False)
    ENCODING_UPSCALED = ("VAE encoding ...", True)
    ENCODING_FILL = ENCODING_UPSCALED
    MOVING_MODEL = ("Moving model to GPU ...", False)
    CHECKING = ("Checking for NSFW content ...", False)
    ENHANCING = ("Processing enhance ...", False)
    ENHANCEMENT = ("Preparing enhancement {}/{} ...", False)
    ENHANCE_PROMPTS = ("Preparing enhance prompts ...", False)

    def __init__(self, text: str, advances: bool) -> None:
        self.text = text
        self.advances = advances


class Percent:
    """The arithmetic alone. Every answer is a whole number of 1–99 and never below the last one."""

    def __init__(self) -> None:
        self._prepared = 1
        self._phase: Phase | None = None
        self._before: tuple[int, ...] = (0, 1)
        self._preparing = True
        self._last = 0

    def enter(self, phase: Phase) -> int:
        """The number of a preparation phase; of several reports of one phase only the first advances, and none once it
        is known how much sampling there is.
        """
        if self._preparing and phase.advances and phase is not self._phase:
            self._prepared += 1
        self._phase = phase
        return self._rising(self._prepared)

    def expect(self, steps: Sequence[int]) -> None:
        """How much sampling the rest is: the steps of each image."""
        self._before, self._preparing = (0, *accumulate(max(1, count) for count in steps or [1])), False

    def step(self, image: int, step: int) -> int:
        """``int(15 + 85 · done / all)`` steps, those of earlier images among them (api.md §5 item 9)."""
        share = (self._before[min(image, len(self._before) - 1)] + step) / self._before[-1]
        return self._rising(int(SAMPLING_FROM + (100 - SAMPLING_FROM) * share))

    def tile(self, done: int, total: int) -> int:
        """After ``done`` of ``total`` tiles of a job that does nothing else: evenly up to the end."""
        if not self._preparing:
            return self._rising(self._last)
        return self._rising(int(self._prepared + (100 - self._prepared) * done / total))

    def done(self, images: int) -> int:
        """After ``images`` of them: ``int(P + (100 − P) · their steps / all steps)``, P = last preparation number."""
        share = self._before[min(images, len(self._before) - 1)] / self._before[-1]
        return self._rising(int(self._prepared + (100 - self._prepared) * share))

    def _rising(self, number: int) -> int:
        self._last = max(self._last, min(number, LAST_RUNNING))
        return self._last


@dataclass(frozen=True)
class Delivery:
    """How what a job has made reaches its client."""

    s3_config: object = None
    """The bucket that the client wants its pictures in, as it was sent; ``None`` = the server's."""
    reply_bytes: int | None = None
    """What the encoded reply may have; ``None`` where nobody counts."""


class Job:
    """A running job. ``cancel``, ``canceled``, ``check``, ``emit`` and ``image_ready`` may be called from any thread;
    all else belongs to the one that does the work. Events reach the sink one at a time; it must be quick and
    must not report to the job.

    Every report checks first whether the job was given up, so a conductor that reports can be stopped.
    """

    def __init__(
        self,
        id: str,
        sink: Sink,
        *,
        clock: Callable[[], float] = time.monotonic,
        preview_interval_s: float | None = 1.0,
        delivery: Delivery = Delivery(),
    ) -> None:
        """``clock`` tells seconds; ``preview_interval_s`` is the least time between two previews, ``None`` = none."""
        self.id = id
        self.delivery = delivery
        self.webhook_url = ""  # whom the worker itself tells the end; set by who reads the request
        self._sink = sink
        self._clock = clock
        self._preview_interval_s = preview_interval_s
        self._preview_at: float | None = None
        self._percent = Percent()
        self._images = 1
        self._given_up = threading.Event()
        self._ended = False
        self._telling = threading.Lock()

    def cancel(self) -> None:
        """Ask the job to stop at its next check. May be called from any thread, more than once."""
        self._given_up.set()

    @property
    def canceled(self) -> bool:
        return self._given_up.is_set()

    def check(self) -> None:
        """Return if the job is still wanted.

        Raises:
            JobCanceled: it is not.
        """
        if self._given_up.is_set():
            raise JobCanceled(self.id)

    def emit(self, event: Event) -> None:
        """Hand an event to the sink. Once the job has ended nothing more is handed on."""
        with self._telling:
            if not self._ended:
                self._ended = isinstance(event, Finished | Failed | Canceled)
                self._sink(event)

    def stage(self, phase: Phase, *values: object) -> None:
        """A phase of the preparation begins; ``values`` fill the blanks of its text, numbers counted from 1.

        Raises:
            JobCanceled: the job was given up.
        """
        self._report(self._percent.enter(phase), phase.text.format(*values))

    def skip(self, phase: Phase) -> None:
        """Count a phase that does nothing this time, without a report (the negative at a CFG of 1)."""
        self._percent.enter(phase)

    def expect(self, *, images: int, steps: int) -> None:
        """Tell, before the first image, how many there will be and the sampling steps of each."""
        self.expect_parts([steps] * max(1, images))

    def expect_parts(self, steps: Sequence[int]) -> None:
        """As ``expect``, for images that take different numbers of steps."""
        self._images = len(steps)
        self._percent.expect(steps)

    def tile(self, done: int, total: int, *, alone: bool) -> None:
        """The upscaler has done ``done`` of ``total`` tiles; ``alone``: enlarging is all that the job does.

        Raises:
            JobCanceled: the job was given up.
        """
        percent = self._percent.tile(done, total) if alone else self._percent.enter(Phase.UPSCALING)
        self._report(percent, f"Upscaling image, tile {done}/{total} ...")

    def start_image(self, image: int) -> None:
        """Work on image ``image`` (from 0) begins.

        Raises:
            JobCanceled: the job was given up.
        """
        self._report(self._percent.done(image), f"Preparing task {image + 1}/{self._images} ...")

    def wants_preview(self) -> bool:
        """Whether a picture of the current step would be sent: ask before rendering one."""
        if self._preview_interval_s is None:
            return False
        return self._preview_at is None or self._clock() - self._preview_at >= self._preview_interval_s

    def step(self, image: int, step: int, total: int, *, preview: bytes | None = None) -> None:
        """The sampler is at ``step`` of ``total`` (from 0) of an image. ``preview`` is what ``Step`` holds.

        Raises:
            JobCanceled: the job was given up.
        """
        self.check()
        if preview is not None:
            self._preview_at = self._clock()
        text = f"Step {step}/{total} in the {image + 1}-th Sampling"
        self.emit(Step(self._percent.step(image, step), text, image, step, total, preview))

    def save_image(self, image: int) -> None:
        """Sampling of an image is over; it is being encoded and stored.

        Raises:
            JobCanceled: the job was given up.
        """
        self._report(self._percent.done(image + 1), f"Saving image {image + 1}/{self._images} to system ...")

    def image_ready(self, image: int, file_name: str, url: str | None = None) -> None:
        """An image has been stored."""
        self.emit(ImageReady(image, file_name, url))

    def finish(self) -> None:
        """All is done: 100 percent, ``Finished``. A second call changes nothing."""
        self.emit(Finished())

    def _report(self, percent: int, text: str) -> None:
        self.check()
        self.emit(Stage(percent, text))
