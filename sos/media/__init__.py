"""What both ends of a voice need: Opus, RTP, and the buffer that evens out the network."""
