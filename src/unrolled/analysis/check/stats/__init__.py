"""Statistics of inputs and targets for `check`: one file for each kind of data."""
