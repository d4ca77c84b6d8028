"""`init`: detect the app in a checkout from its files, and write a first supervisor.toml."""
