"""The 4× network against recordings and numbers worked by hand; tiles, progress, short memory, and odd files."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from fooocus_engine.errors import BadModelFile, GpuOutOfMemory, ModelUnavailable
from fooocus_engine.models.catalogue import EMBEDDED, UPSCALERS
from fooocus_engine.models.store import UPSCALER_FILE
from fooocus_engine.models.upscaler import Upscaler, UpscalerNetwork, first_tile
from tests.golden.compare import picture_error
from tests.golden.records import OWN_RECORDS
from tests.models.tiny import CPU, group

FILE = OWN_RECORDS / "tiny" / "adapters" / UPSCALER_FILE
SHIPPED = EMBEDDED / UPSCALERS / UPSCALER_FILE
CENTRE = (..., 1, 1)  # of a 3×3 kernel
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (19, 30, 3), np.uint8))


def load(path, dtype=torch.float32):
    return Upscaler.load(path, CPU.device, dtype)


@pytest.fixture
def recorded():
    """The weights of the recordings' network, under the names of the file."""
    return torch.load(FILE, weights_only=True)


def stored(weights, path):
    torch.save(weights, path)
    return path


def passing_on() -> UpscalerNetwork:
    """A network without noise or blur: every convolution hands its first three channels on as they are."""
    network = UpscalerNetwork(features=3, growth=1, blocks=1).requires_grad_(False)
    for parameter in network.parameters():
        parameter.zero_()
    for module in network.model:
        if isinstance(module, nn.Conv2d):
            module.weight[CENTRE] = torch.eye(3)
    network.model[1].sub[1].weight[CENTRE] = torch.eye(3)
    return network


class Repeating(nn.Module):
    """Enlarges by repetition, as long as a tile has at most ``limit`` pixels a side; notes the tiles it was given."""

    def __init__(self, limit=10_000):
        super().__init__()
        self.limit = limit
        self.tiles = []

    def forward(self, x):
        self.tiles.append(tuple(x.shape[-2:]))
        if max(x.shape[-2:]) > self.limit:
            raise torch.OutOfMemoryError("out of memory")
        return F.interpolate(x, scale_factor=4)


def repeating(limit=10_000):
    return Upscaler(Repeating(limit), CPU.device, torch.float32)


@pytest.mark.parametrize("identifier", ["upscale/56x40", "upscale/33x47"])
def test_a_picture_is_enlarged_as_recorded(identifier):
    record = group("F_vae_upscaler").record(identifier)
    made = load(FILE).enlarge(Image.fromarray(record.picture("image")))
    assert made.mode == "RGB"
    assert picture_error(np.array(made), record.picture("up"), levels=1) <= 1


def test_the_usual_sizes_have_the_published_number_of_values():
    with torch.device("meta"):
        network = UpscalerNetwork(features=64, growth=32, blocks=23)
    assert sum(parameter.numel() for parameter in network.parameters()) == 16_697_987  # image-uov.md §3


def test_a_block_adds_a_fifth_of_its_branches():
    # Dense block with x5 = b: x + 0.2 b. Three of them: x + 0.6 b. Block: x + 0.2 (x + 0.6 b) = 1.2 x + 0.12 b.
    # Beside the trunk's shortcut: 2.2 x + 0.12 b.
    network = passing_on()
    for r in (1, 2, 3):
        getattr(network.model[1].sub[0], f"RDB{r}").conv5[0].bias[:] = torch.tensor([0.5, 1.0, -1.0])
    x = torch.tensor([0.1, 0.2, 0.3]).reshape(1, 3, 1, 1)
    expected = torch.tensor([0.22 + 0.06, 0.44 + 0.12, 0.66 - 0.12]).reshape(1, 3, 1, 1).expand(1, 3, 4, 4)
    torch.testing.assert_close(network(x), expected)


def test_a_fifth_of_a_negative_value_is_left():
    network = passing_on()
    for index in (8, 10):
        network.model[index].weight.neg_()
    # The trunk makes 2.2 x, the last but one convolution −2.2 x, its leaky unit −0.44 x, the last convolution 0.44 x.
    torch.testing.assert_close(network(torch.ones(1, 3, 2, 2)), torch.full((1, 3, 8, 8), 0.44))


@pytest.mark.parametrize("size", [(1, 1), (7, 13), (33, 2)])
def test_any_size_becomes_four_times_as_large(size):
    assert load(FILE).enlarge(PICTURE.resize(size)).size == (4 * size[0], 4 * size[1])


def test_levels_are_cut_off_and_not_rounded():
    # The trunk of `passing_on` multiplies by 2.2: 10 → 22.0, 101 → 222.2, 201 → over the end.
    picture = Image.new("RGB", (8, 8), (10, 101, 201))
    network = passing_on()
    network.model[10].bias[0] = -0.5 / 255  # 21.5
    made = Upscaler(network, CPU.device, torch.float32).enlarge(picture)
    assert set(np.array(made).reshape(-1, 3).T.ravel()) == {21, 222, 255}


def test_a_picture_in_tiles_is_that_of_one_piece():
    image = PICTURE.resize((300, 170), Image.Resampling.BICUBIC)
    whole = load(SHIPPED)

    def with_little_memory(x):
        if max(x.shape[-2:]) > 128:
            raise torch.OutOfMemoryError("out of memory")
        return whole.network(x)

    tiled = Upscaler(with_little_memory, CPU.device, torch.float32).enlarge(image)
    difference = np.abs(np.array(tiled, int) - np.array(whole.enlarge(image), int))
    assert difference.max() <= 2  # levels: what a tile does not see counts for little, and only near its edge


def test_tiles_overlap_by_32_pixels_and_are_cut_at_the_border():
    upscaler = repeating()
    made = upscaler.enlarge(PICTURE.resize((1000, 500), Image.Resampling.NEAREST))
    assert made.size == (4000, 2000)
    # starts: 0 and 480 downwards; 0, 480 and 960 rightwards
    assert upscaler.network.tiles == [(500, 512), (500, 512), (500, 40), (20, 512), (20, 512), (20, 40)]


def test_the_bands_of_a_picture_can_be_joined_to_something_else():
    heights = []

    def join(bands):
        heights.extend(band.shape for band in bands)
        return Image.new("RGB", (1, 1))

    assert repeating().enlarge(PICTURE.resize((50, 1000)), join=join).size == (1, 1)
    assert heights == [(1920, 200, 3), (1920, 200, 3), (160, 200, 3)]


def test_joining_begins_anew_where_memory_is_short():
    joined = []

    def join(bands):
        joined.append([])
        for band in bands:
            joined[-1].append(len(band))
        return Image.new("RGB", (1, 1))

    repeating(limit=300).enlarge(PICTURE.resize((20, 500)), join=join)
    assert joined == [[], [896, 896, 208]]


@pytest.mark.parametrize(
    ("width", "side"), [(8, 512), (8192, 512), (8193, 256), (16384, 256), (16385, 128), (65535, 128)]
)
def test_a_wide_picture_is_begun_with_smaller_tiles(width, side):
    assert first_tile(width) == side


def test_every_tile_is_told():
    told = []
    repeating().enlarge(PICTURE.resize((1000, 500)), lambda done, total: told.append((done, total)))
    assert told == [(done, 6) for done in range(1, 7)]


def test_a_listener_can_give_up():
    upscaler = repeating()

    def give_up(done, total):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        upscaler.enlarge(PICTURE.resize((1000, 500)), give_up)
    assert len(upscaler.network.tiles) == 1


def test_tiles_are_halved_where_memory_is_short():
    told = []
    upscaler = repeating(limit=200)
    image = PICTURE.resize((560, 150), Image.Resampling.NEAREST)
    made = upscaler.enlarge(image, lambda done, total: told.append((done, total)))
    assert [max(tile) for tile in upscaler.network.tiles[:3]] == [512, 256, 128]
    assert told[-1] == (12, 12)  # starts every 96 pixels: 2 rows of 6
    difference = np.array(made, int) - np.array(image.resize((2240, 600), Image.Resampling.NEAREST))
    assert np.abs(difference).max() <= 1  # the soft masks' sums are not exact


def test_a_device_without_memory_for_the_smallest_tile_is_told():
    upscaler = repeating(limit=100)
    with pytest.raises(GpuOutOfMemory):
        upscaler.enlarge(PICTURE.resize((300, 300)))
    assert [max(tile) for tile in upscaler.network.tiles] == [300, 256, 128]


def test_the_form_of_the_file_and_of_its_names_do_not_matter(recorded, tmp_path):
    renamed = {key.replace("residual_block_", "RDB"): tensor for key, tensor in recorded.items()}
    save_file(recorded, tmp_path / "u.safetensors")
    expected = load(FILE).enlarge(PICTURE).tobytes()
    paths = [tmp_path / "u.safetensors", stored(renamed, tmp_path / "u.pth"),
             stored({"state_dict": recorded, "global_step": 1}, tmp_path / "w.bin")]  # fmt: skip
    assert [load(path).enlarge(PICTURE).tobytes() == expected for path in paths] == [True] * 3


@pytest.mark.parametrize(("features", "growth", "blocks"), [(5, 2, 1), (3, 4, 3)])
def test_sizes_are_read_from_the_tensors(features, growth, blocks, tmp_path):
    network = UpscalerNetwork(features=features, growth=growth, blocks=blocks)
    upscaler = load(stored(network.state_dict(), tmp_path / "u.bin"))
    x = torch.rand(1, 3, 4, 4)
    assert torch.equal(upscaler.network(x), network(x))


def test_weights_take_the_dtype_asked_for(recorded, tmp_path):
    half = stored({key: tensor.half() for key, tensor in recorded.items()}, tmp_path / "u.bin")
    for dtype, levels in ((torch.float32, 1), (torch.bfloat16, 6)):  # bfloat16 has 8 bits, through 38 layers
        upscaler = load(half, dtype)
        assert {parameter.dtype for parameter in upscaler.network.parameters()} == {dtype}
        made = np.array(upscaler.enlarge(PICTURE))
        assert picture_error(made, np.array(load(FILE).enlarge(PICTURE)), levels=levels) <= 1


def without(weights, *parts):
    return {key: tensor for key, tensor in weights.items() if not any(part in key for part in parts)}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda w: without(w, "model.10.bias"), r"the upscaler lacks model\.10\.bias"),
        (lambda w: without(w, "sub.0.residual_block_2.conv3"), r"lacks model\.1\.sub\.0\.RDB2\.conv3\.0\.bias"),
        (lambda w: without(w, "sub.0."), "no upscaler"),
        (lambda w: w | {"model.0.weight": torch.tensor(1.0)}, "no upscaler"),
        (lambda w: w | {"model.6.weight": torch.ones(4, 4, 1, 1)}, r"model\.6\.weight is \(4, 4, 1, 1\)"),
        (lambda w: w | {"model.1.sub.999999999.RDB1.conv1.0.bias": torch.ones(1)}, "the upscaler lacks"),
        (lambda w: {"conv_first.weight": torch.ones(4, 3, 3, 3)}, "old-style ESRGAN names are needed"),
        (lambda w: {}, "holds no tensors"),
        (lambda w: [1], "a dict of tensors is needed"),
        (lambda w: {"model": Image.new("RGB", (1, 1))}, "refused by the weights-only reader"),
    ],
)
def test_another_file_is_refused(change, told, recorded, tmp_path):
    with pytest.raises(BadModelFile, match=rf"odd\.bin: .*{told}"):
        load(stored(change(recorded), tmp_path / "odd.bin"))


def test_a_damaged_or_missing_file_is_told(tmp_path):
    (tmp_path / "cut.bin").write_bytes(FILE.read_bytes()[:5000])
    with pytest.raises(BadModelFile, match=r"cut\.bin: not a readable torch file"):
        load(tmp_path / "cut.bin")
    with pytest.raises(ModelUnavailable, match=r"'gone\.bin' is not installed"):
        load(tmp_path / "gone.bin")
