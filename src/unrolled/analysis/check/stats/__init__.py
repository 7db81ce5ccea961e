"""Statistics of inputs and targets for `check`: one file per kind of data."""
