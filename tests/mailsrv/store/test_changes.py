"""Twin of store/changes."""
