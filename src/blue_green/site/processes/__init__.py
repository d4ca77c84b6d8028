"""The processes of a site: programs of its releases that take no requests."""
