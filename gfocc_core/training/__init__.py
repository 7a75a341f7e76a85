"""Learning from weak 2D labels: losses, unrolled memory, Lightning module, schedule, EMA, export."""
