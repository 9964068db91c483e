"""What searches share: the ball, the best iterate so far, targets, gradients, and how runs share compute batches."""
