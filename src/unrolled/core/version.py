"""The version number: pyproject.toml, the command line and model files read it from here."""

__version__ = "0.1.0.dev0"
