"""Media: one kind of file each, from a file to an array of numbers, within limits. Optional packages decode."""
