"""The version number, for pyproject.toml, the command line and model files."""

__version__ = "0.1.0.dev0"
