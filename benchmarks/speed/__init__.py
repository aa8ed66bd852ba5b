"""Every claim of speed beside what it is compared to: one file per claim, each run in a process of its own."""
