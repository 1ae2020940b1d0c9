"""Captures in, one answer out, and what can be asked of it: tables, time lines, explanations, the packets themselves."""
