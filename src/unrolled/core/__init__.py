"""Used by every package: errors, records, options, files, progress."""
