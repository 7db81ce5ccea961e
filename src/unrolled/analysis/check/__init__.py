"""`unrolled check`: report what training would read from the files, and where the files look wrong."""
