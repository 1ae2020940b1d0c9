"""Rules for attacks that overwhelm by volume."""
