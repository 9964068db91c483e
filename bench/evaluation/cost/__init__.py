"""How long an evaluation takes: measured before it, corrected while it runs."""
