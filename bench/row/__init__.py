"""What a row of the leaderboard is: its record, its text, and the adversarial examples beside it. No torch."""
