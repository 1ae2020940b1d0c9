"""Group, rank, select and sum tables of flows."""
