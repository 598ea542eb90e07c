"""What trainings read: clips of talking heads, and windows out of them."""
