"""The networks behind the parts, opened from checkpoints and made ready for the export."""
