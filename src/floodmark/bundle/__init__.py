"""Evidence bundles: what an answer rests on, in files that somebody else can check without trusting who made them."""
