"""Pictures: found, decoded, paired with their texts, resized, handed on in batches."""
