"""Pictures that steer, made ready for their networks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fooocus_engine.endpoints.generate.controls import LARGEST_SEARCHED, inspected_controls, prepared_pictures
from fooocus_engine.endpoints.generate.image_prompts import Kind
from fooocus_engine.endpoints.generate.plan import ControlTask, GenerationPlan, Steering
from fooocus_engine.errors import JobCanceled
from fooocus_engine.imaging.edges import pyra_canny
from fooocus_engine.imaging.face_crop import SIDE, TEMPLATE
from fooocus_engine.imaging.resize import resampled, resized
from fooocus_engine.jobs.job import Job
from fooocus_engine.models.catalogue import CONTROLNET, FACE_DETECTOR
from fooocus_engine.types import Sources
from tests.endpoints.asking import plan, with_files
from tests.pictures import textured

GIVEN = textured((90, 50))
CANVAS = (128, 64)


@dataclass
class Finder:
    """Finds a face where it is told to, and remembers the sizes of the pictures that it has seen."""

    landmarks_are: np.ndarray | None = None
    seen: list[tuple[int, int]] = field(default_factory=list)

    def landmarks(self, image: np.ndarray) -> np.ndarray | None:
        self.seen.append((image.shape[1], image.shape[0]))
        return self.landmarks_are


@pytest.fixture
def planned(tmp_path) -> GenerationPlan:
    (tmp_path / CONTROLNET).mkdir()
    (tmp_path / CONTROLNET / FACE_DETECTOR).touch()
    catalogue = with_files(tmp_path, ["checkpoints/juggernautXL_v8Rundiffusion.safetensors"])
    return replace(plan(catalogue), size=CANVAS)


def resources(tmp_path: Path, finder: Finder) -> Any:
    store = SimpleNamespace(resident=lambda version, load: finder)
    return SimpleNamespace(store=store, catalogue=with_files(tmp_path, []))


def silent() -> Job:
    return Job("j", lambda event: None)


def steered(planned: GenerationPlan, *kinds: Kind, preprocessed: bool = False) -> GenerationPlan:
    tasks = tuple(ControlTask(kind, 0, 0.5, 1.0) for kind in kinds)
    return replace(planned, steering=Steering(tasks, preprocessed, (20, 60), 0.0))


def test_each_kind_is_prepared_in_its_way_in_the_order_of_the_tasks(planned, tmp_path):
    finder = Finder(np.array(TEMPLATE, np.float32))
    asked = steered(planned, Kind.CANNY, Kind.CPDS, Kind.IMAGE, Kind.FACE)
    edges, structure, image, face = prepared_pictures(
        asked, Sources(controls=(GIVEN,)), resources(tmp_path, finder), silent()
    )
    assert np.array_equal(np.asarray(edges)[..., 1], pyra_canny(np.asarray(resized(GIVEN, CANVAS)), 20, 60))
    assert (structure.size, structure.mode) == (CANVAS, "RGB")
    assert image is GIVEN
    assert face.size == (SIDE, SIDE)
    assert finder.seen == [GIVEN.size]


def test_without_a_face_the_whole_picture_is_taken(planned, tmp_path):
    found = prepared_pictures(
        steered(planned, Kind.FACE), Sources(controls=(GIVEN,)), resources(tmp_path, Finder()), silent()
    )
    assert found == [GIVEN]


def test_prepared_pictures_are_brought_to_size_alone(planned, tmp_path):
    finder = Finder(np.array(TEMPLATE, np.float32))
    asked = steered(planned, *Kind, preprocessed=True)
    *maps, image, face = prepared_pictures(asked, Sources(controls=(GIVEN,)), resources(tmp_path, finder), silent())
    assert all(np.array_equal(each, resized(GIVEN, CANVAS)) for each in maps)
    assert image is face is GIVEN and finder.seen == []


def test_an_inspection_shows_image_prompts_as_the_vision_network_sees_them(planned, tmp_path):
    asked = steered(planned, Kind.IMAGE, Kind.FACE)
    image, face = inspected_controls(asked, Sources(controls=(GIVEN,)), resources(tmp_path, Finder()), silent())
    assert np.array_equal(image, resampled(GIVEN, (224, 224))) and np.array_equal(face, image)


def test_in_a_very_large_picture_a_face_is_looked_for_at_a_smaller_size_and_cut_out_of_the_large_one(planned, tmp_path):
    large = Image.new("RGB", (8001, 2001), (9, 9, 9))
    large.paste((200, 0, 0), (0, 0, SIDE + 2, SIDE + 2))
    finder = Finder(np.array(TEMPLATE, np.float32))
    (face,) = prepared_pictures(
        steered(planned, Kind.FACE), Sources(controls=(large,)), resources(tmp_path, finder), silent()
    )
    ((width, height),) = finder.seen
    assert width * height <= LARGEST_SEARCHED < 1.001 * width * height
    assert (np.asarray(face)[1:-1, 1:-1] == (200, 0, 0)).all()  # the border blends with what lies outside


def test_a_cancel_is_heard_between_two_pictures(planned, tmp_path):
    job = silent()
    finder = Finder()
    finder.landmarks = lambda image: job.cancel()  # type: ignore[method-assign,func-returns-value]
    with pytest.raises(JobCanceled):
        prepared_pictures(
            steered(planned, Kind.FACE, Kind.FACE), Sources(controls=(GIVEN,)), resources(tmp_path, finder), job
        )
