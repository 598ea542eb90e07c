"""How good a video is: measures of pictures, motion and their agreement with the speech."""
