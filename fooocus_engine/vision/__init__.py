"""Networks that look at pictures: masks, captions, faces, safety. They know pictures and files, and no request."""

import os

# onnxruntime reads it while it is loaded; otherwise it notes a device id below HOME and gathers events about its use.
os.environ["ORT_DISABLE_TELEMETRY"] = "true"
