"""FACIAL-GAN: speech features in, expression, head pose and blink out (FACIAL, Sec. 3.2)."""
