"""Use a value of any type as the type that it must have: values of JSON, and the x and y of examples."""
