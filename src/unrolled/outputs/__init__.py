"""The output kinds: what y is, how it is decoded and scored, and the words that tell it to people."""
