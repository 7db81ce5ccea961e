"""Turn files into examples: readers, media decoders, text and features."""
