"""Training: the loop, plans, optimizers, checkpoints, the run folder."""
