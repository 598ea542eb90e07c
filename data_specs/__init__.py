"""Data sets this project makes or reads."""
