"""Twin of store/layout."""
