"""Count packets into flows and arrivals, and determine the shape of each flow."""
