"""OnnxNetwork: an ONNX file on onnxruntime, an array in and an array out. Knows no pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fooocus_engine.errors import BadModelFile, ModelUnavailable

ERRORS_ONLY = 3  # of onnxruntime's log levels
SPINNING = "session.intra_op.allow_spinning"  # threads without work would turn in circles beside the sampling


@dataclass(frozen=True, eq=False)
class OnnxNetwork:
    """A session with the name of its file."""

    file: str
    session: Any

    @classmethod
    def load(cls, path: Path) -> OnnxNetwork:
        """The network of a file.

        Raises:
            ModelUnavailable: there is no such file.
            BadModelFile: it is damaged, or holds no network that takes one input.
        """
        if not path.is_file():
            raise ModelUnavailable(f"model file {path.name!r} is not installed")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = ERRORS_ONLY
        options.add_session_config_entry(SPINNING, "0")
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime raises classes of its own making
            raise BadModelFile(f"{path.name}: not a readable ONNX file ({type(error).__name__})") from error
        if len(session.get_inputs()) != 1:
            raise BadModelFile(f"{path.name}: has {len(session.get_inputs())} inputs; a network with one is needed")
        return cls(path.name, session)

    @property
    def shape(self) -> tuple[Any, ...]:
        """Of the input; sizes that the file leaves open are no numbers."""
        return tuple(self.session.get_inputs()[0].shape)

    def first_output(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the network makes of ``values``: the first of its outputs.

        Raises:
            BadModelFile: it does not take an array of that shape.
        """
        try:
            outputs = self.session.run(None, {self.session.get_inputs()[0].name: values})
        except Exception as error:
            raise BadModelFile(f"{self.file}: does not take {list(values.shape)} ({type(error).__name__})") from error
        return np.asarray(outputs[0], np.float32)
