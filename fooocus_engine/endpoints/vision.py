"""The networks that look at pictures, as the store keeps them: loaded by the first who asks, gone with ``clean-vram``.

Joins the vision room with the files of the catalogue. The caller holds the turn on the device.
"""

from __future__ import annotations

from pathlib import Path

from fooocus_engine.endpoints.resources import Resources
from fooocus_engine.models import vision_files
from fooocus_engine.models.store import version_of
from fooocus_engine.models.vision_files import File
from fooocus_engine.vision.caption import Captioner
from fooocus_engine.vision.detector import Detector
from fooocus_engine.vision.onnx_network import OnnxNetwork
from fooocus_engine.vision.safety import SafetyChecker
from fooocus_engine.vision.segment import Segmenter
from fooocus_engine.vision.tagger import Tagger

# Every function raises ModelUnavailable or BadModelFile where a file is missing or cannot be used.


def background_network(model: str, resources: Resources) -> OnnxNetwork:
    """The network of a mask model of the rembg family."""
    path = _path(vision_files.BACKGROUNDS[model], resources)
    return resources.store.resident(version_of(path), lambda target: OnnxNetwork.load(path))


def detector(resources: Resources) -> Detector:
    """What finds by words."""
    path, words = _path(vision_files.DETECTOR, resources), _path(vision_files.WORDS, resources)
    key = (version_of(path), version_of(words))
    return resources.store.resident(key, lambda target: Detector.load(path, words, target.device))


def segmenter(name: str, resources: Resources) -> Segmenter:
    """What outlines; ``name`` is a key of ``vision_files.SEGMENTERS``."""
    path = _path(vision_files.SEGMENTERS[name], resources)
    return resources.store.resident(version_of(path), lambda target: Segmenter.load(path, target.device))


def captioner(resources: Resources) -> Captioner:
    """What describes photographs."""
    path, words = _path(vision_files.CAPTIONER, resources), _path(vision_files.WORDS, resources)
    key = (version_of(path), version_of(words))
    return resources.store.resident(key, lambda target: Captioner.load(path, words, target.device))


def tagger(resources: Resources) -> Tagger:
    """What describes drawings."""
    path, tags = _path(vision_files.TAGGER, resources), _path(vision_files.TAGS, resources)
    key = (version_of(path), version_of(tags))
    return resources.store.resident(key, lambda target: Tagger.load(path, tags))


def safety_checker(resources: Resources) -> SafetyChecker:
    """What finds pictures that are to be blacked out."""
    path = _path(vision_files.CHECKER, resources)
    return resources.store.resident(version_of(path), lambda target: SafetyChecker.load(path, target.device))


def _path(file: File, resources: Resources) -> Path:
    return resources.catalogue.find(*file)
