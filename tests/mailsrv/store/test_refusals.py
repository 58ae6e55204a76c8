"""Twin of store/refusals."""
