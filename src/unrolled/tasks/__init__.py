"""The tasks: presets, input kinds, output kinds, and metrics."""
