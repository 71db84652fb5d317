"""Being here puts tests/ on the path: its modules are what the tests share."""
