"""What every room's tests share."""

from hypothesis import settings

# Examples are not timed: beside other tests, one that is quick may wait for a core longer than hypothesis allows.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")
