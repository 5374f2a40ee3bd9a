"""What stands before every door: who may connect and for how long, and what every answer carries."""
