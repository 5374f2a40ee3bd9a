"""Extras that help people and that no call waits for; each may be missing, slow or dead and nobody is worse off."""
