"""The messages between Slipway's services, and to integrators.

Messages, values and problems only: pydantic models without behaviour. Nothing here opens a connection,
reads a clock or knows a service. Import the module you need (`slipway.contracts.jobs`); nothing is
re-exported.
"""
