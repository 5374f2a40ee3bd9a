"""The voice provider that needs nobody: WebRTC on this machine, in media workers of its own."""
