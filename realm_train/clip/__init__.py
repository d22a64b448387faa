"""CLIP for DREAM: window and description towers, their training pairs, and the judging of maps."""
