"""Used by all packages: errors, records, options, files, progress."""
