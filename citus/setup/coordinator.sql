-- On the coordinator: what `coditect cluster` did and is doing. Append-only but for the end of an
-- operation; only its own role may read or write it.
SET citus.enable_ddl_propagation = off;

CREATE TABLE IF NOT EXISTS coditect_cluster.operations (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  operation text NOT NULL,
  arguments jsonb NOT NULL,
  started_by text NOT NULL,           -- user@host:process of the command
  started_at timestamptz NOT NULL DEFAULT now(),
  state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'failed', 'stopped', 'interrupted')),
  ended_at timestamptz,
  outcome text NOT NULL DEFAULT '',
  stop_asked boolean NOT NULL DEFAULT false
);
CREATE TABLE IF NOT EXISTS coditect_cluster.events (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  operation bigint NOT NULL REFERENCES coditect_cluster.operations,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  event text NOT NULL,
  detail jsonb NOT NULL DEFAULT '{}'
);
REVOKE ALL ON SCHEMA coditect_cluster FROM PUBLIC;
