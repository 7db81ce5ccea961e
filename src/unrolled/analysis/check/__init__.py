"""`unrolled check`: report what training would read from the files and what looks wrong, with file and line."""
