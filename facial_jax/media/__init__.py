"""Sound and pictures out of files, packet by packet, on one clock."""
