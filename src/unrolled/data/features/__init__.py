"""Convert audio, video and tunes to arrays of features, and augment them in training."""
