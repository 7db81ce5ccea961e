"""Open a trained model and use it: predict, score, stream, compose."""
