"""Who may do what: roles, tokens, and mutations that a second person must approve."""
