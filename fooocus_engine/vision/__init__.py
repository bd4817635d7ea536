import os

# onnxruntime reads it while it is loaded; otherwise it notes a device id below HOME, and sends events about its use.
os.environ["ORT_DISABLE_TELEMETRY"] = "true"
