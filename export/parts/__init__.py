"""What a bundle is made of: each part knows its graphs, its piece of the manifest and its proof."""
