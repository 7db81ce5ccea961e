"""The demo: name tagging, then a language model of real text."""
