"""The names of answers and of the protocols they speak of: pure tables that everything else may import."""
