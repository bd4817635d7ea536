"""How long a bad request waits for its error, on a warm engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.measure import median_seconds, report
from fooocus_engine.engine import Engine
from fooocus_engine.errors import EngineError
from fooocus_engine.jobs.job import Job
from fooocus_engine.settings import Settings

AIM_MS = 50
BAD: dict[str, Any] = {
    "style_selections": ["Fooocus Sharq"],
    "performance_selection": "Fast",
    "aspect_ratios_selection": "12*99999",
    "image_number": 33,
    "image_seed": -2,
    "sharpness": 31,
    "guidance_scale": 0.5,
    "base_model_name": "nothing.safetensors",
    "refiner_model_name": "nothing.safetensors",
    "refiner_switch": 0,
    "loras": [{"model_name": "nothing.safetensors", "weight": 0.5}],
    "save_meta": "perhaps",
    "meta_scheme": "b2222",
    "save_extension": "gif",
    "save_name": "../up",
    "read_wildcards_in_order": 3,
    "webhook_url": "ftp://nowhere",
    "preset": "nothing",
    "endpoint": "text-to-imaje",
}
BAD_ADVANCED: dict[str, Any] = {
    "adm_scaler_positive": 4,
    "adm_scaler_negative": 0,
    "adm_scaler_end": 2,
    "adaptive_cfg": 0,
    "clip_skip": 13,
    "sampler_name": "eular",
    "scheduler_name": "carras",
    "overwrite_step": 201,
    "overwrite_switch": 201,
    "overwrite_width": 63,
    "overwrite_height": 2049,
    "overwrite_vary_strength": 2,
    "overwrite_upscale_strength": -2,
    "canny_low_threshold": 0,
    "canny_high_threshold": 256,
    "refiner_swap_method": "together",
    "controlnet_softness": 2,
    "freeu_b1": "nan",
    "inpaint_engine": "v9",
    "inpaint_strength": 2,
    "inpaint_respective_field": -1,
    "inpaint_erode_or_dilate": 65,
    "vae_name": "nothing.safetensors",
    "dino_erode_or_dilate": -65,
}


def run(rounds: int) -> None:
    """Measure and print the slowest refusals; stop if a bad request is not refused with its field named."""
    engine = Engine(Settings(models_dir=Path("models-of-nobody"), device="cpu"))
    requests = {name: {name: value} for name, value in BAD.items()}
    requests |= {f"advanced_params.{name}": {"advanced_params": {name: value}} for name, value in BAD_ADVANCED.items()}
    times = {
        name: median_seconds(lambda r=request, n=name: refused(engine, r, n), rounds)
        for name, request in requests.items()
    }
    slowest = sorted(times, key=times.__getitem__, reverse=True)
    report(
        f"{len(times)} kinds of bad input, each refused with its field named, median of {rounds} (aim {AIM_MS} ms)",
        [(name, f"{1000 * times[name]:.1f} ms") for name in (*slowest[:3], slowest[len(slowest) // 2], slowest[-1])],
    )


def refused(engine: Engine, fields: dict[str, Any], name: str) -> None:
    """Run a bad request to its error, which must name the field.

    Raises:
        RuntimeError: it was not refused, or by another name.
    """
    try:
        engine.run({"endpoint": "text-to-image", "preset": "starter", **fields}, Job("bad", lambda event: None))
    except EngineError as error:
        located = [".".join(map(str, p.loc[1:])) for p in getattr(error, "problems", ())]
        if any(loc == name or loc.startswith(f"{name}.") for loc in located):
            return
        raise RuntimeError(f"{name}: refused as {located}") from error
    raise RuntimeError(f"{name}: not refused")
