"""The place AWS: what differs there, behind the interface of experiment/place.py."""
