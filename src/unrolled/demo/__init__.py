"""The demo: train two name taggers, then a language model of real text."""
