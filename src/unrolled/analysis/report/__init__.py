"""Show the details of an evaluation: as text on a terminal, and as figures on a self-contained HTML page."""
