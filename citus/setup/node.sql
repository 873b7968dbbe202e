-- In the cell's database, on every node, without propagation.
SET citus.enable_ddl_propagation = off;

-- Each process looks after the memory of its own connections.
GRANT EXECUTE ON FUNCTION pg_get_backend_memory_contexts() TO coditect_app;
GRANT SELECT ON pg_backend_memory_contexts TO coditect_app;

CREATE SCHEMA IF NOT EXISTS coditect_cluster;

-- Refuses what Citus lets pass and then loses rows by.
CREATE OR REPLACE FUNCTION coditect_cluster.guard() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
  found text;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
    RETURN;
  END IF;
  IF tg_tag IN ('CREATE SUBSCRIPTION', 'ALTER SUBSCRIPTION') THEN
    -- The rows of such a subscription land in a hidden table of this node: state 'r', count(*) = 0.
    SELECT srrelid::regclass::text INTO found FROM pg_subscription_rel
      WHERE srrelid IN (SELECT logicalrelid FROM pg_dist_partition) LIMIT 1;
    IF found IS NOT NULL THEN
      RAISE EXCEPTION 'a subscription into the distributed table % would lose its rows', found
        USING ERRCODE = 'feature_not_supported',
              HINT = 'Move tenants instead. Drop the slot that was made on the publisher.';
    END IF;
  ELSE
    -- An owner who sees no rows copies none: shard moves would lose them.
    SELECT oid::regclass::text INTO found FROM pg_class
      WHERE relforcerowsecurity AND oid IN (SELECT logicalrelid FROM pg_dist_partition) LIMIT 1;
    IF found IS NOT NULL THEN
      RAISE EXCEPTION 'FORCE ROW LEVEL SECURITY on the distributed table % would lose rows in shard moves', found
        USING ERRCODE = 'feature_not_supported';
    END IF;
  END IF;
END $$;

DROP EVENT TRIGGER IF EXISTS coditect_guard;
CREATE EVENT TRIGGER coditect_guard ON ddl_command_end
  WHEN tag IN ('CREATE SUBSCRIPTION', 'ALTER SUBSCRIPTION', 'ALTER TABLE')
  EXECUTE FUNCTION coditect_cluster.guard();
