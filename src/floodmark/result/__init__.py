"""Turn captures into one result, and answer questions about it: tables, timelines, explanations, the packets themselves."""
