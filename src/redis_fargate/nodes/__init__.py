"""All I/O with Redis: connections, what nodes are like, and the steps that change them.

A run opens its ``connection.Connections`` once, then observes (``observe.observe``) and takes
the waves of its plan (``execute.execute``) within ``execute.settings_kept``.
"""
