"""Features of audio, video and tunes as arrays of numbers."""
