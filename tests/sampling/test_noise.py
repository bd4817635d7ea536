from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from fooocus_engine.sampling.model_sampling import discrete_sampling
from fooocus_engine.sampling.noise import BrownianTree, ImageNoise
from fooocus_engine.sampling.schedules import karras_sigmas
from tests.golden.compare import tensor_error
from tests.models.tiny import group

CPU = torch.device("cpu")
SHAPE = (1, 4, 2, 2)
LEVELS = karras_sigmas(30, *discrete_sampling().sigmas[[0, -1]].tolist()).tolist()


def tree(seed: int = 12345, shape: tuple[int, ...] = SHAPE) -> BrownianTree:
    return BrownianTree(seed, shape, CPU, (LEVELS[-2], LEVELS[0]))


def image_noise(seed: int) -> ImageNoise:
    return ImageNoise(seed, SHAPE, CPU, tree(seed))


@pytest.mark.parametrize(
    ("step", "expected"),  # sampling.md §5.2
    [
        (0, [1.0493141412734985, -0.41781631112098694, -0.3369702398777008, -0.26036161184310913]),
        (1, [-2.2863810062408447, -0.7625406980514526, -0.42600467801094055, 0.9952986240386963]),
        (14, [0.6246499419212341, 1.297694444656372, 1.3946607112884521, -0.3979654610157013]),
        (28, [-0.10373963415622711, 0.4642794728279114, -0.1500989943742752, -0.49780768156051636]),
    ],
)
def test_the_path_is_that_of_the_specification(step: int, expected: list[float]):
    increment = tree().between(LEVELS[step], LEVELS[step + 1])
    assert increment.flatten()[:4].tolist() == pytest.approx(expected, abs=1e-6)


def test_the_path_is_that_of_the_reference_also_between_and_outside():
    basic, outside = group("B_samplers").record("brownian/basic"), group("B_samplers").record("brownian/outside")
    settings, levels = basic.settings, basic.input("sigmas").tolist()
    path = BrownianTree(settings["seed"], (1, 4, 5, 6), CPU, (settings["sigma_min"], settings["sigma_max"]))
    steps = torch.stack([path.between(levels[k], levels[k + 1]) for k in range(9)])
    halves = torch.stack([path.between(levels[k], (levels[k] * levels[k + 1]) ** 0.5) for k in range(9)])
    beyond = torch.stack([path.between(*ends) for ends in ((120, 80), (80, 10), (1, 0.002))])
    assert tensor_error(steps, basic.output("noise"), absolute=2e-6) <= 1
    assert tensor_error(halves, basic.output("noise_mid"), absolute=2e-6) <= 1
    assert tensor_error(beyond, outside.output("noise"), absolute=2e-6) <= 1


def test_the_order_of_questions_does_not_matter():
    forward, backward = tree(), tree()
    pairs = list(pairwise(LEVELS[:-1]))
    answers = {pair: forward.between(*pair) for pair in pairs}
    assert all(torch.equal(answers[pair], backward.between(*pair)) for pair in reversed(pairs))


def test_forgotten_splits_come_out_the_same_again():
    path = tree()
    before = path.between(5.0, 4.0)
    for i in range(100):
        path.between(1.0 + i * 0.1, 1.05 + i * 0.1)
    assert torch.equal(path.between(5.0, 4.0), before)


def test_two_ways_add_up_to_the_whole_way():
    path = tree()
    whole = path.between(9.0, 1.0) * 8**0.5
    parts = path.between(9.0, 4.0) * 5**0.5 + path.between(4.0, 1.0) * 3**0.5
    assert torch.allclose(whole, parts, atol=1e-5)


def test_the_way_back_is_the_opposite():
    path = tree()
    assert torch.equal(path.between(9.0, 4.0), -path.between(4.0, 9.0))


def test_increments_have_unit_variance():
    path = tree(shape=(1, 4, 64, 64))
    assert all(abs(float(path.between(a, b).std()) - 1) < 0.05 for a, b in ((14.0, 9.0), (0.05, 0.04)))


def test_outside_its_range_the_path_stands_still():
    assert torch.equal(tree().between(120.0, 80.0), torch.zeros(SHAPE))


def test_a_way_without_length_is_refused():
    with pytest.raises(ZeroDivisionError):
        tree().between(1.0, 1.0)


def test_a_path_over_a_single_point_is_flat():
    path = BrownianTree(1, SHAPE, CPU, (14.6, 14.6))
    assert torch.equal(path.between(14.6, 1.0), torch.zeros(SHAPE))


def test_start_noise_is_that_of_the_specification():
    expected = [-1.479807734489441, 0.48730599880218506, -3.012793779373169, 0.4438551962375641]  # sampling.md §5.1
    assert image_noise(12345).start().flatten()[:4].tolist() == pytest.approx(expected, abs=1e-6)


def test_on_the_cpu_step_noise_continues_the_start_noise():
    generator = torch.Generator().manual_seed(7)
    noise = image_noise(7)
    for drawn in (noise.start(), noise.step(), noise.step()):
        assert torch.equal(drawn, torch.randn(SHAPE, generator=generator))


def test_the_global_generator_is_neither_read_nor_moved():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    noise = image_noise(7)
    noise.start(), noise.step(), noise.between(4.0, 3.0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_step_noise_has_a_generator_of_its_own():
    device = torch.device("cuda")
    noise = ImageNoise(7, SHAPE, device, BrownianTree(7, SHAPE, device, (0.03, 14.6)))
    assert torch.equal(noise.start().cpu(), image_noise(7).start())
    expected = torch.randn(SHAPE, device=device, generator=torch.Generator(device).manual_seed(7))
    assert torch.equal(noise.step(), expected)
