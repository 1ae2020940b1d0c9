"""Findings turned into events: when, how fast, from whom; what is ordinary after all; what could not be assessed."""
