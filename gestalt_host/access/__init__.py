"""Who is asking and what they may do: sign-in, policies, tokens, credentials."""
