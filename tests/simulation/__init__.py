"""Whole histories of a cluster, in memory and in virtual time.

What is real: ``controller.reconcile``, all of ``topology``, and ``nodes`` down to the commands
that it sends. What is a model: the servers that answer these commands (``server``, ``commands``,
``gossip``, ``replication``), ECS (``ecs``), the state table (``state``), and the clock (``clock``).
The model is of servers, not of what the plan hopes: ``test_conformance`` plays the same short
histories on real servers.
"""
