"""The composition root: settings in, applications and handlers out. Nothing else chooses an adapter.

Each function has a module here, and so has the operator's command, with one class: the parts (`parts/`) that it runs
on, and what is made of them. A module imports what its own class makes and nothing else, for a cold start pays for
every import (docs/decisions/0020). What only some requests need is imported by the first of them.
"""
