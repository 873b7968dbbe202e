-- mode: transactional
-- oldest-program: 0.1.0
--
-- Bulk onboarding: `coditect tenant import` works as a role of its own, which may add tenants and
-- nothing else, and keeps a journal so that it can go on after a crash.

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'coditect_import') THEN
    RAISE EXCEPTION 'the role coditect_import is missing: run "coditect bootstrap" first';
  END IF;
END $$;

CREATE TABLE imports (
  id uuid PRIMARY KEY,
  source text NOT NULL,
  fingerprint bytea NOT NULL,
  sealing_key text NOT NULL,
  next_byte bigint NOT NULL DEFAULT 0,
  next_line bigint NOT NULL DEFAULT 1,
  imported bigint NOT NULL DEFAULT 0,
  rejected bigint NOT NULL DEFAULT 0,
  keys_bytes bigint NOT NULL DEFAULT 0,
  rejects_bytes bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL,
  finished_at timestamptz
);
CREATE UNIQUE INDEX imports_unfinished ON imports (fingerprint) WHERE finished_at IS NULL;

REVOKE ALL ON imports FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON imports TO coditect_import;
GRANT SELECT ON imports TO coditect_operator;
GRANT SELECT (id, email), INSERT ON users TO coditect_import;
GRANT SELECT (id, public_id, slug, state), INSERT, UPDATE (state, cell_epoch, updated_at) ON tenants TO coditect_import;
GRANT SELECT, INSERT ON user_tenants TO coditect_import;
