"""Fooocus 2.5.5's pipelines as a library: requests go in, pictures come out. Importing the package loads nothing."""

__version__ = "0.1.0"
