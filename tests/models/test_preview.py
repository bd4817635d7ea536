"""The preview decoder against recordings."""

import pytest
import torch

from fooocus_engine.errors import BadModelFile
from fooocus_engine.models.preview import PreviewDecoder, PreviewNetwork
from tests.golden.compare import picture_error
from tests.golden.records import OWN_RECORDS
from tests.models.tiny import CPU, group

FILE = OWN_RECORDS / "tiny" / "adapters" / "xlvaeapp.pth"


@pytest.mark.parametrize("identifier", ["preview/0", "preview/1"])
def test_a_preview_is_as_recorded(identifier):
    record = group("F_vae_upscaler").record(identifier)
    image = PreviewDecoder.load(FILE, CPU.device, torch.float32).render(record.input("x0"))
    assert image.mode == "RGB"
    assert picture_error(torch.tensor(list(image.tobytes())).reshape(image.height, image.width, 3).numpy(),
                         record.picture("preview"), levels=1) <= 1  # fmt: skip


def test_the_network_has_the_published_number_of_values():
    assert sum(parameter.numel() for parameter in PreviewNetwork().parameters()) == 52_395  # models.md §2.1


def test_another_file_is_refused(tmp_path):
    torch.save({"conv1.weight": torch.ones(1)}, tmp_path / "odd.pth")
    with pytest.raises(BadModelFile, match=r"odd\.pth: the preview decoder lacks"):
        PreviewDecoder.load(tmp_path / "odd.pth", CPU.device, torch.float32)
