"""Twin of store/verify."""
