"""What is done, durably: chunks of a fixed grid under a header that says for which run."""
