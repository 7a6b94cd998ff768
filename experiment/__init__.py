"""The declared experiment on AWS, step by step."""
