"""Twin of store/index."""
