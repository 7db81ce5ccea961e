"""Details of an evaluation: results by class, type, length or output, and the worst errors."""
