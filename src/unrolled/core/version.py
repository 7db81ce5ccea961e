"""The version, in this one place: pyproject.toml, the command line and model files read it here."""

__version__ = "0.1.0.dev0"
