"""The rehearsal: faults and changes on the local cloud, under a load whose writes are counted."""
