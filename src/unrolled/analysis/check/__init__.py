"""The data doctor: what training would see of the files, and what in them is odd, with file and line."""
