"""Who answers for a place, as data: agencies, the table municipality -> headquarters, and its import.

A directory is complete or it is refused: a service that must answer everywhere has exactly one default agency, so a
caller always gets somewhere.  How a channel works is not known here.
``importing`` reads an authority's tables, ``jis`` the codes of municipalities, ``toml`` writes what was read.
"""

from routing.directory.agency import DEFAULT, Agency, Agreement, Centre, Hours, Station
from routing.directory.directory import Assignment, Directory
from routing.directory.duty import Duty

__all__ = ["DEFAULT", "Agency", "Agreement", "Assignment", "Centre", "Directory", "Duty", "Hours", "Station"]
