"""Where the bytes live: interchangeable backends, blind to one another."""
