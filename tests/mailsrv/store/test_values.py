"""Twin of store/values."""
