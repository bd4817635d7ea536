"""The codec against recordings, and its conversions."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fooocus_engine.models.codec import LatentCodec, cropped, to_uint8
from tests.golden.compare import picture_error, tensor_error
from tests.models.tiny import group, tiny_model

RELATIVE = 1e-5  # of the largest value: float32, other order of sums (records/README.md)
PLAIN = ("plain/128x96", "plain/200x136", "plain/odd_size")


def no_noise(shape: torch.Size) -> torch.Tensor:
    return torch.zeros(shape)


def pixels(array: np.ndarray) -> torch.Tensor:
    return (torch.from_numpy(array).float() / 255).permute(2, 0, 1)[None]


def channels_first(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.permute(0, 3, 1, 2)


class SmallDevice:
    """An autoencoder of means and copies that has no memory for more than ``limit`` latent pixels at once."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, limit):
        self.limit = limit

    def post_quant_conv(self, z):
        return z

    def quant_conv(self, moments):
        return moments

    def encoder(self, x):
        if x.shape[-1] * x.shape[-2] > 64 * self.limit:
            raise torch.OutOfMemoryError("out of memory")
        return F.avg_pool2d(x, 8)[:, [0, 1, 2, 0, 1, 2, 0, 1]]

    def decoder(self, z):
        if z.shape[-1] * z.shape[-2] > self.limit:
            raise torch.OutOfMemoryError("out of memory")
        return F.interpolate(z[:, :3], scale_factor=8)


def test_a_latent_decodes_as_recorded():
    record = group("E0_unet_vae_plain").record("vae_decode")
    decoded = tiny_model().codec.decode(record.input("z"))
    expected = channels_first(record.output("image_bhwc_01"))
    assert tensor_error(decoded, expected, absolute=0, relative=RELATIVE) <= 1


def test_the_moments_of_an_image_are_as_recorded():
    record = group("E0_unet_vae_plain").record("vae_encode_moments")
    moments = tiny_model().codec.moments(channels_first(record.input("image_bhwc_01")))
    assert tensor_error(moments, record.output("moments"), absolute=0, relative=RELATIVE) <= 1


@pytest.mark.parametrize("identifier", PLAIN)
def test_an_image_encodes_as_recorded(identifier):
    record = group("F_vae_upscaler").record(identifier)
    latent = tiny_model().codec.encode(pixels(record.picture("image")), draw=no_noise)
    assert tensor_error(latent, record.output("latent"), absolute=0, relative=RELATIVE) <= 1


@pytest.mark.parametrize("identifier", PLAIN[:2])
def test_an_encoded_image_comes_back_as_recorded(identifier):
    record = group("F_vae_upscaler").record(identifier)
    decoded = tiny_model().codec.decode(record.output("latent"))
    expected = channels_first(record.output("decoded_bhwc"))
    assert tensor_error(decoded, expected, absolute=0, relative=RELATIVE) <= 1
    assert picture_error(to_uint8(decoded)[0], record.picture("roundtrip"), levels=1) <= 1


def test_a_picture_encodes_in_tiles_as_recorded():
    record = group("F_vae_upscaler").record("tiled/encode")
    latent = tiny_model().codec.encode_tiled(pixels(record.picture("image")), draw=no_noise)
    assert tensor_error(latent, record.output("latent_tiled"), absolute=0, relative=RELATIVE) <= 1


def test_a_latent_decodes_in_tiles_as_recorded():
    record = group("F_vae_upscaler").record("tiled/decode")
    decoded = tiny_model().codec.decode_tiled(record.input("latent"))
    means = F.avg_pool2d(decoded, 8).permute(0, 2, 3, 1)
    crop = decoded[..., 256:320, 288:352].permute(0, 2, 3, 1)  # the middle, where tiles of all passes meet
    assert tensor_error(means, record.output("decoded_tiled_blockmean8"), absolute=0, relative=RELATIVE) <= 1
    assert tensor_error(crop, record.output("decoded_tiled_crop"), absolute=0, relative=RELATIVE) <= 1


def test_decoding_falls_back_to_tiles_where_memory_is_short():
    latent = torch.full((1, 4, 80, 80), 0.5)
    decoded = LatentCodec(SmallDevice(64 * 64)).decode(latent)
    torch.testing.assert_close(decoded, torch.full((1, 3, 640, 640), 0.75))


def test_a_device_without_memory_for_a_tile_is_told():
    with pytest.raises(torch.OutOfMemoryError):
        LatentCodec(SmallDevice(16)).decode(torch.zeros(1, 4, 8, 8))


def test_an_image_too_large_for_the_device_is_encoded_in_tiles():
    image = F.interpolate(torch.rand(1, 3, 8, 70, generator=torch.Generator().manual_seed(0)), scale_factor=64)
    whole = LatentCodec(SmallDevice(100_000)).encode(image, draw=no_noise)
    tiled = LatentCodec(SmallDevice(64 * 64)).encode(image, draw=no_noise)
    torch.testing.assert_close(tiled, whole)


def test_encoding_does_not_depend_on_the_memory_layout_of_the_image():
    image = torch.full((1, 3, 32, 32), 0.5)
    codec = tiny_model().codec
    assert torch.equal(codec.moments(image), codec.moments(image.to(memory_format=torch.channels_last)))


def test_a_sample_is_the_mean_plus_the_spread_times_the_noise():
    codec = tiny_model().codec
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    mean, logvar = codec.moments(image).chunk(2, dim=1)
    noise = torch.full(mean.shape, 3.0)
    expected = mean + 3 * torch.exp(logvar.clamp(-30, 20) / 2)
    assert torch.equal(codec.encode(image, draw=lambda shape: noise), expected)


def test_every_tile_draws_its_own_noise_row_by_row():
    shapes = []

    def draw(shape):
        shapes.append(tuple(shape[-2:]))
        return torch.zeros(shape)

    LatentCodec(SmallDevice(10_000)).encode_tiled(torch.zeros(1, 3, 264, 520), draw=draw)
    # 512×512 from 0 and 448; 1024×256 from 0 and 192 downwards; 256×1024 from 0, 192, 384 rightwards
    assert shapes == [(33, 64), (33, 9), (32, 65), (9, 65), (33, 32), (33, 32), (33, 17)]


@pytest.mark.parametrize(("size", "first"), [((13, 16), 2), ((16, 23), 3), ((17, 9), 0), ((8, 8), 0)])
def test_an_image_is_cropped_around_its_middle(size, first):
    height, width = size
    rows = torch.arange(height).float()[:, None].expand(height, width)
    columns = torch.arange(width).float()[None].expand(height, width)
    image = cropped(torch.stack([rows, columns, rows])[None])
    assert image.shape[-2:] == (height // 8 * 8, width // 8 * 8)
    assert max(image[0, 0, 0, 0], image[0, 1, 0, 0]) == first


def test_bytes_are_cut_off_not_rounded():
    image = torch.tensor([-0.1, 0.0, 0.999 / 255, 1.999 / 255, 1.0, 1.5]).reshape(1, 1, 2, 3).expand(1, 3, 2, 3)
    assert to_uint8(image)[0, ..., 0].tolist() == [[0, 0, 0], [1, 255, 255]]
