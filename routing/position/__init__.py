"""Where somebody may be, as others write it down.

``shapes`` are the values (RFC 5491), ``gml`` and ``pidf`` their XML, ``geocode`` asks the operator's own geocoder for a
name or an address, ``posts`` finds a kilometre post in a table of their own, ``plus_code`` writes a place in ten
digits, ``compass`` names a direction.  What makes a position possible at all is ``routing.location``'s, on the ground
below all wings.
"""
