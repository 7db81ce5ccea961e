"""The wide part: a linear model beside the recurrent network. It needs only NumPy."""
