"""Where an incident must go, and by what right: a library that knows neither the service nor the recorder."""
