"""How Alembic reaches the database: through the connection that is handed to it.

Decides nothing. There is no offline mode: the gateway migrates when it opens a database.
"""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
