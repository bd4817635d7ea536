"""A short run of the benchmark of a device, on the shipped model and the processor: that it measures all it tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import gpu
from fooocus_engine.engine import Engine
from fooocus_engine.settings import Settings

SHIPPED = "starter_sdxl.safetensors"
SIDE, STEPS = 128, 2


@pytest.mark.slow
def test_the_benchmark_tells_pictures_their_floor_and_the_load(capsys):
    engine = Engine(Settings(models_dir=Path("models-of-nobody"), device="cpu"))
    size, steps = {"aspect_ratios_selection": f"{SIDE}*{SIDE}"}, {"advanced_params": {"overwrite_step": STEPS}}
    gpu.run(gpu.Bench(engine, SHIPPED, gpu.REQUEST | {"base_model_name": SHIPPED} | size | steps), 1)
    told = capsys.readouterr().out
    assert all(told.count(row) == len(gpu.MODES) for row in ("request / floor", "between calls", "after sampling"))
    assert "second load / floor" in told
    assert "a decode with channels last" in told
