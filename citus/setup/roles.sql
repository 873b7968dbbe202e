-- Settings of roles, on every node; run in a database without Citus, so that each node is set for
-- itself. :"cell" is the cell's database.

-- SET LOCAL app.tenant_id reaches the workers only so; without it a statement fails.
ALTER ROLE coditect_app IN DATABASE :"cell" SET citus.propagate_set_commands = 'local';
ALTER ROLE coditect_operator IN DATABASE :"cell" SET citus.propagate_set_commands = 'local';
ALTER ROLE coditect_maintenance IN DATABASE :"cell" SET citus.propagate_set_commands = 'local';
ALTER ROLE coditect_import IN DATABASE :"cell" SET citus.propagate_set_commands = 'local';
ALTER ROLE coditect_migrator IN DATABASE :"cell" SET citus.propagate_set_commands = 'local';

-- A statement of a tenant that would visit several shards is a mistake.
ALTER ROLE coditect_app IN DATABASE :"cell" SET citus.multi_task_query_log_level = 'error';

-- Citus 13.2.1 and later leak memory with each run of a plan that is used again (citus PR 8824).
ALTER ROLE coditect_app IN DATABASE :"cell" SET plan_cache_mode = 'force_custom_plan';
ALTER ROLE coditect_operator IN DATABASE :"cell" SET plan_cache_mode = 'force_custom_plan';
ALTER ROLE coditect_maintenance IN DATABASE :"cell" SET plan_cache_mode = 'force_custom_plan';

-- Bulk onboarding copies rows, which PostgreSQL refuses under row-level security. The role may only
-- INSERT, into four tables, and its policy lets it add any row: this gives it nothing more.
ALTER ROLE coditect_import BYPASSRLS;
