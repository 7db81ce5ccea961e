"""Details of media formats that no library provides: WAV chunks, bytes of MIDI files, instrument names."""
