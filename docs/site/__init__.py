"""What makes the site from the pages in docs/ and from the code: `python -m docs.site build`.

Nothing here is installed. staging.py puts pages together in build/docs/source, pages that the code writes come from
made.py, conf.py is Sphinx's.
"""
