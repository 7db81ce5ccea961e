"""What a task is: presets, input kinds, output kinds, metrics."""
