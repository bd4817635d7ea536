"""Logarithm and exponential, correctly rounded to float32."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fooocus_engine.sampling.elementary import exp, log


@given(st.floats(2**-20, 2**20, width=32))
def test_the_logarithm_is_the_exact_one_rounded_once(x):
    assert log(torch.tensor(x)) == np.float32(math.log(x))


@given(st.floats(-20, 20, width=32))
def test_the_exponential_is_the_exact_one_rounded_once(x):
    assert exp(torch.tensor(x)) == np.float32(math.exp(x))


@pytest.mark.parametrize("function", [log, exp])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_type_stays(function, dtype):
    assert function(torch.ones(2, dtype=dtype)).dtype == dtype
