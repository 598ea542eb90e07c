"""MouthSync: whether a mouth's motion and speech belong together, by a small network of our own."""
