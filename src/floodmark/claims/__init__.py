"""Check claims about attacks against a result: whose hosts were hit, how each unit is counted, whether the number holds."""
