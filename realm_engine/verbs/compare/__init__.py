"""Which generator is better, and how sure that is: the work behind `realm-engine compare`."""
