"""Twin of store/places."""
