"""The worker as it is deployed: `handler.py`, the SDK and the shipped model, in a process of its own."""

from __future__ import annotations

import asyncio
import base64
import re

from tests.worker.process import ROOT, environment, worker
from tests.worker.standin import StandIn

SMALL = {
    "endpoint": "text-to-image",
    "preset": "starter",
    "prompt": "a red cat",
    "image_seed": 11,
    "aspect_ratios_selection": "64*64",
    "advanced_params": {"overwrite_step": 4},
}


def test_a_job_of_the_platform_becomes_a_picture_with_progress_on_its_way(tmp_path):
    async def scenario():
        async with StandIn(hold_s=3).served() as platform:
            good = platform.submit("good", input=SMALL)
            bad = platform.submit("bad", input=SMALL | {"sharpness": 31})
            async with worker((str(ROOT / "handler.py"),), environment(platform.port, tmp_path)) as process:
                await platform.ended()
                process.terminate()
                code = await process.exit_code()
                return platform, good, bad, code, process.output

    platform, good, bad, code, output = asyncio.run(scenario())
    assert code == 0, output
    assert "Traceback" not in output
    assert platform.violations == []
    assert len(re.findall(r"ready after [\d.]+ s: SDK [\d.]+ s, engine [\d.]+ s, models [\d.]+ s\n", output)) == 1
    (result,) = good.output["job_result"]
    assert base64.b64decode(result["base64"].split(",")[1]).startswith(b"\x89PNG")
    assert (result["seed"], result["file_name"]) == ("11", "good-0.png")
    assert good.progress
    assert set(good.progress[0]) == {
        "job_progress", "job_status", "job_step_preview", "image_index", "step", "total_steps", "ts", "n",
    }  # fmt: skip
    assert bad.error["detail"][0]["loc"] == ["body", "sharpness"]
