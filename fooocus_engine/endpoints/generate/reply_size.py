"""Whether a generation's pictures can travel in its reply, found out before they are made (api.md §6.4). No torch.

Refuses only what surely cannot: what a picture will have exactly is not known before it is encoded, and the last gate
measures the whole reply.
"""

from __future__ import annotations

from fooocus_engine.endpoints.generate.plan import Enlarge, GenerationPlan, Inpaint, Inspect
from fooocus_engine.errors import ReplyTooLarge
from fooocus_engine.jobs.job import Job
from fooocus_engine.output.encode import media_type
from fooocus_engine.output.storage.base import Storage

# Of a pixel. The flattest picture that the shipped model has drawn, a circle on one colour, has 0.223, 0.072 and 0.034;
# one colour with a noise of 0.3 levels, which is less than an SDXL autoencoder leaves, has 0.47 as PNG.
LEAST_BYTES = {"image/png": 0.21, "image/jpeg": 0.06, "image/webp": 0.03}


def check_reply_size(plan: GenerationPlan, storage: Storage, job: Job) -> None:
    """Return if the pictures of ``plan`` may fit into the reply to ``job``, or need not.

    Raises:
        ReplyTooLarge: they surely do not.
    """
    limit, least = job.delivery.reply_bytes, least_base64(plan)
    travel = plan.output.with_base64 or not storage.gives_urls
    if travel and limit is not None and least > limit:
        raise ReplyTooLarge(least, limit)


def least_base64(plan: GenerationPlan) -> int:
    """Bytes that the pictures have at least, as base64. 0 where given ones decide, which may be of one colour."""
    if isinstance(plan.goal, Enlarge | Inspect | Inpaint):
        return 0
    pixels = plan.size[0] * plan.size[1] * len(plan.images)
    return int(pixels * LEAST_BYTES[media_type(plan.output.extension)] * 4 / 3)
