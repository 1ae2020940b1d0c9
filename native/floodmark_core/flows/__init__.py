"""Count packets into flows and cells, and determine the shape of each flow."""
