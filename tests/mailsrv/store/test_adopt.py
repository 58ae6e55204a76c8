"""Twin of store/adopt."""
