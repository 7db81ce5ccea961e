"""Decode media files to arrays, within limits.

Each module decodes one kind of file with an optional package.
"""
