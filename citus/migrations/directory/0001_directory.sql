-- mode: transactional
-- oldest-program: 0.1.0
--
-- The directory: what exists before a tenant is known.

CREATE TABLE users (
  id uuid PRIMARY KEY,
  email text NOT NULL UNIQUE CHECK (email = lower(email)),
  password_hash text,
  created_at timestamptz NOT NULL,
  disabled_at timestamptz
);

-- A slug is never used again: purged tenants keep their row, emptied.
CREATE TABLE tenants (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  public_id uuid NOT NULL UNIQUE,
  slug text NOT NULL UNIQUE,
  name text NOT NULL,
  cell text NOT NULL,
  state text NOT NULL CHECK (state IN ('provisioning', 'active', 'suspended', 'deleted', 'purging', 'purged')),
  -- Grows with each change of state; the cell has caught up when cell_epoch equals it.
  epoch bigint NOT NULL DEFAULT 1,
  cell_epoch bigint NOT NULL DEFAULT 0,
  state_reason text NOT NULL DEFAULT '',
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  deleted_at timestamptz,
  purge_after timestamptz
);
CREATE INDEX tenants_unsettled ON tenants (updated_at) WHERE cell_epoch <> epoch OR state = 'provisioning';
CREATE INDEX tenants_purgeable ON tenants (purge_after) WHERE state IN ('deleted', 'purging');
CREATE INDEX tenants_by_created ON tenants (created_at, id);

CREATE TABLE user_tenants (
  user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  tenant_id bigint NOT NULL REFERENCES tenants ON DELETE CASCADE,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (user_id, tenant_id)
);
CREATE INDEX user_tenants_by_tenant ON user_tenants (tenant_id);

CREATE TABLE sessions (
  id uuid PRIMARY KEY,
  token_hash bytea NOT NULL UNIQUE,
  user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  created_at timestamptz NOT NULL,
  last_seen_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Idempotency of requests that are not under a tenant (signup, further organizations). The answer
-- is sealed; it is made before the work starts, so that a repetition ends in the same tenant.
CREATE TABLE request_records (
  id bytea PRIMARY KEY,
  body_key text NOT NULL,
  body_mac bytea NOT NULL,
  plan bytea NOT NULL,
  status int,
  tenant_id bigint REFERENCES tenants ON DELETE CASCADE,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX request_records_by_expiry ON request_records (expires_at);

CREATE TABLE operators (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  secret_key text NOT NULL,
  secret_hash bytea NOT NULL,
  created_at timestamptz NOT NULL,
  revoked_at timestamptz
);

CREATE TABLE operator_log (
  id uuid PRIMARY KEY,
  operator_id uuid NOT NULL,
  action text NOT NULL,
  tenant_id bigint,
  reason text NOT NULL,
  request_id text NOT NULL,
  at timestamptz NOT NULL
);

CREATE TABLE leases (
  name text PRIMARY KEY,
  holder text NOT NULL,
  expires_at timestamptz NOT NULL
);

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON users, tenants TO coditect_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON user_tenants, sessions, request_records TO coditect_app;
GRANT SELECT ON operators TO coditect_app;

GRANT SELECT, UPDATE ON tenants TO coditect_operator;
GRANT SELECT ON users, user_tenants TO coditect_operator;
GRANT SELECT, INSERT, UPDATE ON operators TO coditect_operator;
-- Append-only: nobody may change or delete what an operator did.
GRANT SELECT, INSERT ON operator_log TO coditect_operator;

GRANT SELECT, INSERT, UPDATE, DELETE ON leases TO coditect_maintenance;
GRANT SELECT, UPDATE ON tenants TO coditect_maintenance;
GRANT SELECT, DELETE ON sessions, request_records, user_tenants TO coditect_maintenance;
