"""Twin of store/transfer."""
