"""HTTP/2 that is more work, or more memory, than what it carries."""
