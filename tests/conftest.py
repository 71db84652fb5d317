"""Being here puts tests/ on the path: its modules are what the tests share."""

from hypothesis import settings

# How long an example takes says nothing about whether it is right.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")
