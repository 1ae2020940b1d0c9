"""Output of results: one module per form."""
