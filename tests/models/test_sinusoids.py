"""The sinusoidal embedding: the library's numbers, the reference's last bits, and which networks take it."""

import pytest
import torch
from diffusers.models.embeddings import get_timestep_embedding

from fooocus_engine.models.sinusoids import Sinusoids, settle_sinusoids
from tests.golden.guidance import embeddings
from tests.models import layouts
from tests.models.tiny import group, tiny_model

CPU = torch.device("cpu")


@pytest.mark.parametrize("width", [32, 256, 320, 384])
def test_the_embedding_is_that_of_the_library(width):
    numbers = torch.arange(2001.0)
    library = get_timestep_embedding(numbers, width, flip_sin_to_cos=True, downscale_freq_shift=0)
    assert torch.allclose(Sinusoids(width)(numbers), library, rtol=0, atol=1.3e-4)  # 2000 · a frequency's last bit


def test_the_embedding_is_the_recorded_one_to_the_last_bit_of_the_sine():
    record = group("C_guidance").record("timestep_embedding")
    for name, embedding in embeddings(record).items():
        # A frequency one bit off would show as 5e-5.
        assert torch.allclose(embedding, record.output(name), rtol=0, atol=1.2e-7)


def test_a_loaded_network_uses_it():
    unet = tiny_model().unet
    assert isinstance(unet.time_proj, Sinusoids)
    assert isinstance(unet.add_time_proj, Sinusoids)


def test_a_network_without_size_numbers_uses_it_for_timesteps():
    unet = layouts.meta_unet(layouts.SMALL_UNET | {"addition_embed_type": None})
    settle_sinusoids(unet, CPU)
    assert isinstance(unet.time_proj, Sinusoids)
    assert not hasattr(unet, "add_time_proj")


@pytest.mark.parametrize("setting", [{"freq_shift": 1}, {"flip_sin_to_cos": False}])
def test_a_network_that_computes_another_one_keeps_it(setting):
    unet = layouts.meta_unet(layouts.SMALL_UNET | setting)
    before = unet.time_proj, unet.add_time_proj
    settle_sinusoids(unet, CPU)
    assert (unet.time_proj, unet.add_time_proj) == before
