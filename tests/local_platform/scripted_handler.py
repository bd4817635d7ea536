"""A worker for tests: the real SDK around a handler that does what its input says.

{"value": …}        what is answered
{"lap": FOLDER}     writes a file there when it has begun, and answers when the folder has a file named go
{"error": TEXT}     what it fails with
{"progress": [...]} payloads that it reports first
{"count": FOLDER}   adds an empty file there for each time that it runs
"""

import asyncio
import os
import uuid
from pathlib import Path

import runpod
from runpod.serverless.modules import rp_http, rp_scale


async def handler(job):
    given = job["input"]
    if "count" in given:
        (Path(given["count"]) / f"{job['id']}.{uuid.uuid4().hex}").touch()
    for payload in given.get("progress", ()):
        async with rp_scale.AsyncClientSession() as session:
            await rp_http.send_result(session, {"status": "IN_PROGRESS", "output": payload}, job)
    if "lap" in given:
        folder = Path(given["lap"])
        (folder / job["id"]).touch()
        try:
            while not (folder / "go").exists():
                await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            (folder / f"{job['id']}.cancelled").touch()
            raise
    if "error" in given:
        return {"error": given["error"], "refresh_worker": given.get("refresh_worker", False)}
    return {"value": given.get("value")}


if __name__ == "__main__":
    slots = int(os.environ.get("SLOTS", "2"))
    runpod.serverless.start({"handler": handler, "concurrency_modifier": lambda current: slots})
