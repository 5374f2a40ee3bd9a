"""What is kept, how it is proved and when it is destroyed: a library that knows nothing of the service around it."""
