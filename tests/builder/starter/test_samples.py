"""Pools of latents: their oldest pictures give way to new ones."""

from __future__ import annotations

from random import Random

import torch

from builder.starter.autoencoder import Teacher
from builder.starter.samples import Renewal, latent_pool

SIZE = (64, 64)


def test_a_renewal_replaces_the_oldest_in_turn_and_keeps_scenes_and_latents_together():
    teacher = Teacher()
    pool = latent_pool(teacher, 1, 4, SIZE, 1)
    scenes, latents = list(pool.scenes), pool.latents.clone()
    renewal, random = Renewal(pool, teacher), Random(2)
    renewal.renew(3, random)
    assert [old is new for old, new in zip(scenes, pool.scenes, strict=True)] == [False, False, False, True]
    assert [torch.equal(a, b) for a, b in zip(latents, pool.latents, strict=True)] == [False, False, False, True]
    second = pool.scenes[1]
    renewal.renew(2, random)
    assert pool.scenes[1] is second
    assert pool.scenes[3] is not scenes[3]

    again = Random(2)
    fresh = latent_pool(teacher, again.getrandbits(40), 3, SIZE, 1)
    assert fresh.scenes[1] == pool.scenes[1]
    assert torch.equal(fresh.latents[1], pool.latents[1])
