"""What every package uses: errors, records, options, atomic files, tensor files, progress."""
