"""Twin of store/rows."""
