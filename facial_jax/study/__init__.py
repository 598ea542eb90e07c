"""What people say about videos: a page that asks them, and the table of their answers."""
