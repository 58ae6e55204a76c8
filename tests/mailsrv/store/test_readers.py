"""Twin of store/readers."""
