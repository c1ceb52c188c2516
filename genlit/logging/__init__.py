"""What a run leaves behind: history.jsonl, the W&B dashboard, pictures."""
