"""Other people's files as data sets: one format a file, each a function that returns a `Dataset`."""
