"""Packets counted into flows and cells, and what each flow looks like."""
