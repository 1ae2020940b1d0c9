"""Containers: where records begin and end, what their headers say, and how they are copied."""
