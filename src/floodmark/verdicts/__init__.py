"""Evidence in, findings out: one module per family of attacks, each a few pure functions over the context."""
