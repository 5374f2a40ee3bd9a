"""LoST (RFC 5222): which service answers for a place, asked and answered over HTTP.

``messages`` is the codec, ``server`` the pure answer from our own data, ``client`` asks the servers of others,
``codec`` writes and reads XML, ``areas`` and ``civic`` are what a place can be asked by.
"""
