"""Twin of store/expunge."""
