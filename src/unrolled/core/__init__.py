"""Code that every package uses: errors, records, options, files, progress."""
