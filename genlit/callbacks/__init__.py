"""What happens around training: progress, pictures, throughput."""
