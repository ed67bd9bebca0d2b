"""One process: a server, a client, or both, put together from a configuration."""
