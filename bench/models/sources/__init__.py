"""Where models come from: the zoo's checkpoints, a file of the user's, RobustBench."""
