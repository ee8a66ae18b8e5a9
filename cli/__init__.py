"""The command line: parse, call the library, print. One thin file per command; `main` puts them together.

Importing this package, and asking for help, imports nothing but typer: each command imports what it needs when it runs.
"""
