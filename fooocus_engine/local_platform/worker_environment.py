"""What a worker's environment says about its platform (platform.md §4.1, §5). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from fooocus_engine.local_platform import limits

NO_PROXY = ("NO_PROXY", "no_proxy")
LOG_LEVEL = "RUNPOD_LOG_LEVEL"


def worker_variables(base: str, worker: str, key: str, *, home: Path) -> dict[str, str | None]:
    """The variables of one worker; ``None`` is a variable that must not be there.

    ``base`` is the endpoint's address, ``home`` a folder without the SDK's key file, whose key would replace ``key``.
    The SDK puts the ids of worker and job into its templates and appends to their queries.
    """
    return {
        "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?gpu=local",
        "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID?gpu=local",
        "RUNPOD_WEBHOOK_POST_STREAM": f"{base}/job-stream/$RUNPOD_POD_ID/$ID?gpu=local",
        "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID",
        "RUNPOD_PING_INTERVAL": str(limits.PING_INTERVAL_MS),
        "RUNPOD_AI_API_KEY": key,
        "RUNPOD_POD_ID": worker,
        "RUNPOD_ENDPOINT_ID": base.rpartition("/")[2],
        "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",  # one of them dials out of the machine
        "RUNPOD_SKIP_GPU_CHECK": "true",
        "RUNPOD_REALTIME_PORT": None,
        "RUNPOD_API_KEY": None,
        "HOME": str(home),
    }


def adapted(base: str, given: Mapping[str, str]) -> dict[str, str]:
    """The variables that depend on those ``given``: no proxy before ``base``, and no outputs of jobs in the log."""
    host = urlsplit(base).hostname or ""
    unproxied = {name: ",".join(filter(None, [given.get(name), host])) for name in NO_PROXY}
    return {**unproxied, LOG_LEVEL: given.get(LOG_LEVEL) or given.get("RUNPOD_DEBUG_LEVEL") or "INFO"}
