"""What raw reads tell of themselves: values that are missing, resets."""
