"""The results ledger: what runs reached as files that are committed, and the table that is made of them."""
