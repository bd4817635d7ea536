"""The collector rests while a model is made, and is afterwards as it was."""

from __future__ import annotations

import gc

import pytest

from fooocus_engine.models.collector import collector_paused


@pytest.mark.parametrize("enabled", [True, False])
def test_no_collection_inside_and_the_same_as_before_afterwards(enabled):
    was = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(RuntimeError, match="inside"), collector_paused():
            assert not gc.isenabled()
            raise RuntimeError("inside")
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was else gc.disable)()
