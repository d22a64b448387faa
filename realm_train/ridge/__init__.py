"""Own ratings of a few hundred pictures as a measure: a ridge regression on the features of a fixed tower."""
