"""What each command does: one module for each noun, one function for each command."""
