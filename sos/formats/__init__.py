"""Vehicle data as others write it, both ways: pure codecs that know neither the network nor the journal."""
