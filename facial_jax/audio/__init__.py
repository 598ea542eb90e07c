"""From sound to speech features."""
