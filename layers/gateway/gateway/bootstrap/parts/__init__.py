"""What functions have in common, in classes that build on one another.

Process
├── Books ──────────┐
├── Ordering ───────┴─ Generation
│   └───────────────┬─ Submission
├── Queued ─────────┘
│   └── Batching ───── Finishing
├── Accounting
└── Administering
"""
