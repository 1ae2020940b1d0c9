"""Packets metered into flows, and the columns of flows that everything above asks for."""
