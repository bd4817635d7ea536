"""A worker for tests: the real SDK around a generator, whose chunks are those of its input."""

import runpod


def handler(job):
    yield from job["input"]["chunks"]


if __name__ == "__main__":
    runpod.serverless.start({"handler": handler, "return_aggregate_stream": True})
