"""The API calls: one handler a call, translating between HTTP and the host."""
