"""Facts about media formats that no library gives: chunks of WAV, bytes of MIDI files, names of instruments."""
