"""Twin of store/reader."""
