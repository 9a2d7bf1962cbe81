"""Who asks: root, tokens, tickets and what each may do."""
