"""A first supervisor.toml for the app in a checkout, from what its files tell."""
