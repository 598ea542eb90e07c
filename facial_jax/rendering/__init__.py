"""Camera, light, rasterizer and render()."""
