"""Twin of store/mailboxes."""
