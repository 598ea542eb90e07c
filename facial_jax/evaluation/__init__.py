"""Videos measured as the field does, and pages that show it."""
