"""One self-contained page of numbers, plots and pictures: the work behind `realm-engine report`, and compare's page."""
