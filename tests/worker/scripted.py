"""A worker whose engine does what each job's input says: the real SDK, adapter, senders and gate, without models.

python -m tests.worker.scripted, in the environment of a worker.

An input is ``{"do": [[action, value], …], "reply": any}``:

    steps N      one picture of N steps, each with a preview
    pace [N, S]  N steps, each S seconds after the other, and no phase
    hold FILE    be alone with the device until the file exists, looking at every moment whether the job is still wanted
    turn S       be alone with the device for S seconds
    busy S       anything else that takes S seconds, as encoding and upload do
    raise TEXT   fail with a RuntimeError
    kilobytes N  make the reply that large
    tell URL     want the end to be told there, with one picture
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import Any

from fooocus_engine.errors import InvalidRequest, Problem
from fooocus_engine.jobs.job import Job, Phase
from fooocus_engine.jobs.turn import Turn
from fooocus_engine.settings import settings_from_environment
from fooocus_engine.worker.sdk import serve

log = logging.getLogger("scripted")

LOOK_S = 0.002
PREVIEW = b"\x89PNG preview"


class Scripted:
    """Healthy, unless the working directory holds a file ``unfit``."""

    def __init__(self) -> None:
        self._turn = Turn()

    def load_default(self) -> str | None:
        if Path("unfit").exists():
            raise RuntimeError("no model")
        return None

    def free_device_bytes(self) -> int | None:
        return None

    def run(self, given: Any, job: Job) -> Any:
        if not given:
            raise InvalidRequest([Problem("missing", ("body", "endpoint"), "nothing was asked for")])
        log.info("job %s runs", job.id)
        reply: Any = given.get("reply", {"job": job.id})
        for action, value in given.get("do", ()):
            reply = self._act(action, value, job) or reply
        return reply

    def _act(self, action: str, value: Any, job: Job) -> Any:
        match action:
            case "steps":
                job.stage(Phase.LOADING_MODELS)
                job.expect(images=1, steps=value)
                job.start_image(0)
                for step in range(value):
                    job.step(0, step, value, preview=PREVIEW if job.wants_preview() else None)
                job.save_image(0)
            case "pace":
                steps, seconds = value
                job.expect(images=1, steps=steps)
                for step in range(steps):
                    job.step(0, step, steps)
                    time.sleep(seconds)
            case "hold":
                job.stage(Phase.LOADING_MODELS)
                with self._turn.of(job):
                    job.stage(Phase.PROCESSING_PROMPTS)
                    while not Path(value).exists():
                        job.check()
                        time.sleep(LOOK_S)
            case "turn":
                with self._turn.of(job):
                    began = time.monotonic()
                    time.sleep(value)
                    return {"began": began, "ended": time.monotonic()}
            case "busy":
                time.sleep(value)
            case "raise":
                raise RuntimeError(value)
            case "kilobytes":
                return "x" * 1000 * value
            case "tell":
                job.webhook_url = value
                return {"job_result": [{"url": "https://bucket.example/0.png", "seed": "7"}], "warnings": []}
        return None


def main() -> None:
    """Serve until the platform ends the process."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(name)s: %(message)s")
    serve(Scripted(), settings_from_environment())


if __name__ == "__main__":
    main()
