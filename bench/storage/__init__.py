"""Where files lie: a folder or a store, written whole or not at all, one writer at a time. No torch."""
