"""Runnable examples: real small servers that fail, and clients that live with it.

Nothing here belongs to the library; everything here is run by the tests.
"""
