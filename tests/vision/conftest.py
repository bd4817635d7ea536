"""The tiny networks, written once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vision.tiny_networks import main


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> Path:
    """A models folder with every network that looks at pictures."""
    folder = tmp_path_factory.mktemp("vision")
    main(folder)
    return folder
