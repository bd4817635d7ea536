"""The HTTP API, until Ctrl-C: ``python -m fooocus_engine.shim [--local]``."""
