"""The spool: sealed batches on the local disk, while the database cannot take them."""
