"""Noise levels midway between two entries of a table, and those that are not."""

import pytest
import torch

from fooocus_engine.sampling.midway import FEW_STEP, FULL, higher_wins
from fooocus_engine.sampling.model_sampling import discrete_sampling, few_step_sampling
from fooocus_engine.sampling.schedules import sgm_uniform_sigmas

TABLES = [(discrete_sampling(), FULL), (few_step_sampling("lcm"), FEW_STEP)]


def entries(tables, positions):
    """The entries that ``timestep`` takes for noise levels at ``positions``, counted in entries."""
    timesteps = torch.tensor(positions) * tables.skip + tables.skip - 1
    return [(tables.timestep(sigma) - tables.skip + 1) / tables.skip for sigma in tables.sigma(timesteps).tolist()]


def test_decisions_are_read_from_the_lowest_bit():
    assert [higher_wins(0b0110, lower) for lower in range(4)] == [False, True, True, False]


@pytest.mark.parametrize(("tables", "decisions"), TABLES)
def test_every_middle_goes_to_the_neighbour_that_was_recorded(tables, decisions):
    lower = range(len(tables.sigmas) - 1)
    assert decisions < 1 << len(lower)
    assert entries(tables, [i + 0.5 for i in lower]) == [i + higher_wins(decisions, i) for i in lower]


@pytest.mark.parametrize(("tables", "decisions"), TABLES)
def test_what_is_off_the_middle_goes_to_the_nearer_entry(tables, decisions):
    lower = range(len(tables.sigmas) - 1)
    assert entries(tables, [i + 0.49 for i in lower]) == list(lower)
    assert entries(tables, [i + 0.51 for i in lower]) == [i + 1 for i in lower]


@pytest.mark.parametrize(("tables", "decisions"), TABLES)
def test_an_entry_is_its_own(tables, decisions):
    found = [tables.timestep(sigma) for sigma in tables.sigmas.tolist()]
    assert found == [i * tables.skip + tables.skip - 1 for i in range(len(tables.sigmas))]


@pytest.mark.parametrize(
    ("tables", "steps", "index", "timestep"), [(0, 14, 7, 499), (1, 30, 15, 519), (1, 60, 30, 519)]
)
def test_a_schedule_that_misses_a_middle_by_a_last_bit_goes_to_the_nearer_entry(tables, steps, index, timestep):
    chosen = TABLES[tables][0]
    assert chosen.timestep(float(sgm_uniform_sigmas(steps, chosen)[index])) == timestep
