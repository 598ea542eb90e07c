"""Rendering-to-video: rendered faces in, frames of the person out (FACIAL, Sec. 4.2)."""
