"""What each path of the API does. A handler decodes the request, asks the host, and shapes the answer."""
