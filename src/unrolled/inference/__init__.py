"""Open a trained model and use it: predict, stream, compose."""
