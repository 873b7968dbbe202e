-- mode: transactional
-- oldest-program: 0.1.0
--
-- The functions that make a table a tenant's or a reference table, the same on PostgreSQL and on
-- Citus; and the tables every cell has.

-- Row-level security for a table that has tenant_id first in its key, grants, and on Citus its
-- distribution. Each policy names its role: a policy for PUBLIC would be ORed with the others. The
-- cast is strict: without a tenant a statement fails instead of finding nothing.
--   app_grants   what the application may do
--   maintenance  'purge': rows of the tenant that app.purge_tenant_id names may be deleted;
--                'expired': rows whose expires_at has passed may be deleted
CREATE FUNCTION coditect.tenant_table(
  tenant_table regclass,
  app_grants text DEFAULT 'SELECT, INSERT, UPDATE, DELETE',
  maintenance text DEFAULT 'purge'
) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, public, coditect AS $$
DECLARE
  removable text := CASE maintenance
    WHEN 'purge' THEN 'tenant_id = current_setting(''app.purge_tenant_id'')::bigint'
    WHEN 'expired' THEN 'expires_at < now()'
  END;
BEGIN
  IF removable IS NULL THEN
    RAISE EXCEPTION 'maintenance must be purge or expired, not %', maintenance;
  END IF;
  EXECUTE format('REVOKE ALL ON %s FROM PUBLIC', tenant_table);
  EXECUTE format('GRANT %s ON %s TO coditect_app', app_grants, tenant_table);
  EXECUTE format('GRANT SELECT ON %s TO coditect_operator', tenant_table);
  EXECUTE format('GRANT SELECT, DELETE ON %s TO coditect_maintenance', tenant_table);
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tenant_table);
  EXECUTE format('CREATE POLICY tenant_only ON %s TO coditect_app
                    USING (tenant_id = current_setting(''app.tenant_id'')::bigint)
                    WITH CHECK (tenant_id = current_setting(''app.tenant_id'')::bigint)', tenant_table);
  EXECUTE format('CREATE POLICY operator_read ON %s FOR SELECT TO coditect_operator USING (true)', tenant_table);
  EXECUTE format('CREATE POLICY maintenance_read ON %s FOR SELECT TO coditect_maintenance USING (%s)', tenant_table, removable);
  EXECUTE format('CREATE POLICY maintenance_delete ON %s FOR DELETE TO coditect_maintenance USING (%s)', tenant_table, removable);
  IF EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
    IF tenant_table = 'public.tenant_state'::regclass THEN
      EXECUTE format('SELECT create_distributed_table(%L, ''tenant_id'')', tenant_table);
    ELSE
      EXECUTE format('SELECT create_distributed_table(%L, ''tenant_id'', colocate_with => ''public.tenant_state'')', tenant_table);
    END IF;
  END IF;
END $$;

-- A small table that every tenant reads and nobody but a migration writes.
CREATE FUNCTION coditect.reference_table(reference_table regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, coditect AS $$
BEGIN
  EXECUTE format('REVOKE ALL ON %s FROM PUBLIC', reference_table);
  EXECUTE format('GRANT SELECT ON %s TO coditect_app, coditect_operator, coditect_maintenance', reference_table);
  IF EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
    EXECUTE format('SELECT create_reference_table(%L)', reference_table);
  END IF;
END $$;

REVOKE ALL ON FUNCTION coditect.tenant_table, coditect.reference_table FROM PUBLIC;

-- The fence: every write of a tenant locks its row FOR SHARE, every change of state FOR UPDATE.
CREATE TABLE tenant_state (
  tenant_id bigint PRIMARY KEY,
  state text NOT NULL CHECK (state IN ('active', 'suspended', 'deleted', 'purging')),
  epoch bigint NOT NULL,
  -- SELECT ... FOR SHARE asks for the right to update some column: the application gets this one.
  fence boolean
);
SELECT coditect.tenant_table('tenant_state', 'SELECT, INSERT, UPDATE (fence)');
GRANT UPDATE (state, epoch) ON tenant_state TO coditect_operator;
CREATE POLICY operator_update ON tenant_state FOR UPDATE TO coditect_operator USING (true) WITH CHECK (true);

CREATE TABLE members (
  tenant_id bigint NOT NULL,
  id uuid NOT NULL,
  user_id uuid,
  email text NOT NULL CHECK (email = lower(email)),
  role text NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'viewer')),
  state text NOT NULL CHECK (state IN ('invited', 'active', 'removed')),
  invitation_key text,
  invitation_hash bytea,
  invitation_expires_at timestamptz,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX members_email ON members (tenant_id, email) WHERE state <> 'removed';
CREATE UNIQUE INDEX members_user ON members (tenant_id, user_id) WHERE state = 'active';
SELECT coditect.tenant_table('members');

CREATE TABLE api_keys (
  tenant_id bigint NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  secret_key text NOT NULL,
  secret_hash bytea NOT NULL,
  scopes text[] NOT NULL,
  created_by uuid,
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  revoked_at timestamptz,
  PRIMARY KEY (tenant_id, id)
);
SELECT coditect.tenant_table('api_keys');

-- Append-only, also for the application.
CREATE TABLE activity (
  tenant_id bigint NOT NULL,
  id uuid NOT NULL,
  actor_type text NOT NULL,
  actor_id uuid,
  verb text NOT NULL,
  target_type text NOT NULL,
  target_id uuid NOT NULL,
  before jsonb,
  after jsonb,
  request_id text NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX activity_by_target ON activity (tenant_id, target_id, id);
SELECT coditect.tenant_table('activity', 'SELECT, INSERT');

CREATE TABLE idempotency_records (
  tenant_id bigint NOT NULL,
  id bytea NOT NULL,
  body_key text NOT NULL,
  body_mac bytea NOT NULL,
  status int,
  answer bytea,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX idempotency_by_expiry ON idempotency_records (expires_at);
SELECT coditect.tenant_table('idempotency_records', 'SELECT, INSERT, UPDATE, DELETE', 'expired');
