"""Evidence bundles: made, sealed, kept in custody and verified."""
