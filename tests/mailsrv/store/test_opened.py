"""Twin of store/opened."""
