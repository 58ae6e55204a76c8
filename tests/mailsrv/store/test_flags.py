"""Twin of store/flags."""
