"""Twin of store/tidy."""
