"""Check the type of values of unknown type: values from JSON, and x and y of examples."""
