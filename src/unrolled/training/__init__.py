"""The training loop and all around it: plan, optimizers, checkpoints, the run folder."""
