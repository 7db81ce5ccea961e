"""From files to examples: readers, media decoders, text, audio and video features."""
