from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fooocus_engine.sampling.model_sampling import (
    ModelSampling,
    discrete_sampling,
    edm_sampling,
    few_step_sampling,
    latent_format,
    model_sampling,
)
from fooocus_engine.sampling.settings import SCHEDULERS
from tests.golden.compare import tensor_error
from tests.models.tiny import group

KINDS: dict[str, ModelSampling] = {
    "discrete": discrete_sampling(),
    "lcm": few_step_sampling("lcm"),
    "tcd": few_step_sampling("epsilon"),
    "edm": edm_sampling(),
}


LAST_BITS = 4e-7  # three units in the last place of float32: processors round roots and exponentials differently


def error(actual: Tensor, expected: Tensor) -> float:
    return tensor_error(actual, expected, absolute=1e-6, relative=2e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_tables_are_those_of_the_reference(kind: str):
    tables, record = KINDS[kind], group("A_schedules").record(f"table/{kind}")
    assert torch.allclose(tables.sigmas, record.output("sigmas"), rtol=LAST_BITS, atol=0)
    if tables.alphas_cumprod is not None:
        assert torch.equal(tables.alphas_cumprod, record.output("alphas_cumprod"))


@pytest.mark.parametrize("kind", KINDS)
def test_functions_are_those_of_the_reference(kind: str):
    tables, record = KINDS[kind], group("A_schedules").record(f"functions/{kind}")
    timesteps = torch.tensor([tables.timestep(sigma) for sigma in record.input("sigma").tolist()])
    assert torch.equal(timesteps, record.output("timestep"))
    assert error(tables.sigma(record.input("t")), record.output("sigma_of_t")) <= 1
    x, output, sigmas = record.input("x"), record.input("model_output"), record.input("sigma3").tolist()
    scaled = [tables.scale_input(x[i], sigma) for i, sigma in enumerate(sigmas)]
    assert torch.allclose(torch.stack(scaled), record.output("calculate_input"), rtol=LAST_BITS, atol=0)
    denoised = [tables.denoised(x[i], output[i], sigma) for i, sigma in enumerate(sigmas)]
    assert error(torch.stack(denoised), record.output("calculate_denoised")) <= 1
    for percent, sigma in record.data["percent_to_sigma"].items():
        assert tables.percent_to_sigma(float(percent)) == pytest.approx(sigma, rel=2e-6)


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_perfect_network_gives_the_clean_latent(scheduler: str, prediction: str):
    tables = model_sampling(scheduler, prediction)
    generator = torch.Generator().manual_seed(0)
    clean, noise, sigma = torch.randn(1000, generator=generator), torch.randn(1000, generator=generator), 2.0
    x = clean + noise * sigma
    spread = (sigma**2 + 1) ** 0.5
    if scheduler == "edm_playground_v2.5":
        output = (clean - x * 0.25 / (sigma**2 + 0.25)) * (sigma**2 + 0.25) ** 0.5 / (0.5 * sigma)
    elif prediction == "v" and scheduler not in ("lcm", "tcd"):
        output = (noise - sigma * clean) / spread
    else:
        output = noise
    assert torch.allclose(tables.denoised(x, output, sigma), clean, atol=1e-5)


def test_a_sigma_halfway_between_two_timesteps_goes_to_the_nearer_one_in_float32():
    tables = discrete_sampling()
    halfway = float(tables.sigma(torch.tensor(499.5)))
    assert halfway == pytest.approx(1.6155803203582764, rel=1e-7)  # sampling.md §2.4: Lightning's third sigma
    assert tables.timestep(halfway) == 500


def test_every_entry_of_a_table_is_its_own_timestep():
    tables = discrete_sampling()
    assert [tables.timestep(sigma) for sigma in tables.sigmas.tolist()] == list(range(1000))


def test_latent_formats_are_those_of_the_reference():
    record = group("A_schedules").record("latent_format")
    z = record.input("z")
    for scheduler, name in (("karras", "sdxl"), ("edm_playground_v2.5", "playground")):
        kind = latent_format(scheduler, 0.13025)
        assert error(kind.into_model(z), record.output(f"{name}_in")) <= 1
        assert error(kind.out_of_model(z), record.output(f"{name}_out")) <= 1


def test_an_empty_latent_is_not_empty_for_playground():
    empty = latent_format("edm_playground_v2.5", 0.13025).into_model(torch.zeros(1, 4, 1, 1)).flatten()
    assert empty.tolist() == pytest.approx([0.09757792, -0.15977094, 0.10557575, -0.24049218])  # sampling.md §1.5
