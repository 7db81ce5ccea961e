"""From files to examples: readers, media decoders, text, features."""
