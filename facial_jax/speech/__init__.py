"""Text to speech whose phones are known: espeak-ng, and Piper voices."""
