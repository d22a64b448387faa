"""Which pictures to label next: pool-based active learning with a linear probe on the features of a fixed tower."""
