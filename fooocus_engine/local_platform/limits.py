"""The platform's published numbers (platform.md §6, §10; api.md §6.1) and the few of our own, in one place."""

from __future__ import annotations

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
DAY_MS = 24 * 60 * MINUTE_MS
MB = 1_000_000

RUN_BYTES = 10 * MB  # of a request or a result of /run
RUNSYNC_BYTES = 20 * MB  # of /runsync
CHUNK_BYTES = 1 * MB  # of one streamed chunk
BODY_BYTES = 32 * MB  # what the server reads at all

KEEP_RUN_MS = 30 * MINUTE_MS  # a result after its end
KEEP_RUNSYNC_MS = MINUTE_MS

EXECUTION_TIMEOUT_MS = 600 * SECOND_MS
EXECUTION_TIMEOUT_RANGE_MS = (5 * SECOND_MS, 7 * DAY_MS)
TTL_MS = DAY_MS
TTL_RANGE_MS = (10 * SECOND_MS, 7 * DAY_MS)
STATUS_TTL_RANGE_MS = (1, 7 * DAY_MS)  # ?ttl= of status; the documented example is less than a submission may have
WAIT_MS = 90 * SECOND_MS
WAIT_RANGE_MS = (1 * SECOND_MS, 300 * SECOND_MS)

MAX_RETRIES = 1  # re-dispatches of a job whose worker was lost
PING_INTERVAL_MS = 10 * SECOND_MS  # the platform's own
LEASE_MS = 6 * PING_INTERVAL_MS  # from a worker's last sign of a job until the job is believed lost
HOLD_S = 25.0  # how long a worker's poll is held; the SDK gives up after 90
MAX_BATCH = 100  # jobs handed out at once

# Operation → requests in 10 s, and at the same time (platform.md §6.2).
RATES = {
    "run": (1000, 200),
    "runsync": (2000, 400),
    "status": (2000, 400),
    "stream": (2000, 400),
    "cancel": (100, 20),
    "purge-queue": (2, 2),
}
RATE_WINDOW_S = 10.0
