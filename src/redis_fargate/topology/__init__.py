"""What is, what should be, and how to get there: pure values and functions."""
