"""One file per job: each composes the layers below and prints nothing."""
