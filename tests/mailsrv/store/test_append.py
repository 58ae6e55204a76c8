"""Twin of store/append."""
