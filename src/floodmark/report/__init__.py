"""Answers out: one module per form in which a result can be read."""
