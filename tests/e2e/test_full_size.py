"""A picture from a full-size SDXL checkpoint with random weights, on the processor: every part at its real shape."""

from __future__ import annotations

import base64
import io
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from fooocus_engine.engine import Engine
from fooocus_engine.jobs.job import Job
from fooocus_engine.settings import Settings
from tests.models import clip_vocabulary, full_size

GB = 1e9
REQUEST = {
    "endpoint": "text-to-image",
    "preset": "starter",
    "base_model_name": full_size.NAME,
    "prompt": "a lighthouse at dusk",
    "image_seed": 7,
    "aspect_ratios_selection": "256*256",
    "advanced_params": {"overwrite_step": 2},
}


@pytest.fixture
def models() -> Iterator[Path]:
    """A models folder with that checkpoint and CLIP's tokenizer; gone after the test, unlike pytest's own folders."""
    vocabulary = clip_vocabulary.published_file()
    if vocabulary is None:
        pytest.skip("the package clip-anytorch is not installed")
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Path(folder) / "checkpoints"
        free, needed = shutil.disk_usage(folder).free, full_size.sdxl_bytes()
        if free < needed + GB:
            pytest.skip(f"{folder} has {free / GB:.1f} GB free, {needed / GB + 1:.1f} are needed")
        clip_vocabulary.write_tokenizer(vocabulary, checkpoints / Path(full_size.NAME).stem / "tokenizer")
        full_size.write_sdxl(checkpoints)
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_full_size_checkpoint_makes_a_picture_on_the_processor(models, capsys):
    # bfloat16: its UNet takes half of float32's 10 GB, and unlike float16's its range holds what random weights make.
    engine = Engine(Settings(models_dir=models, device="cpu", dtype="bfloat16"))
    began = time.perf_counter()
    reply = engine.run(REQUEST, Job("full-size", lambda event: None))
    taken = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with capsys.disabled():
        sys.stdout.write(f"\nfull size: {taken:.0f} s, {reply['timings']}, peak memory {peak / GB:.1f} GB\n")
    _, _, data = reply["job_result"][0]["base64"].partition(",")
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.size == (256, 256)
        assert len(image.getcolors(256 * 256)) > 100  # not one flat colour, as an overflow would paint
