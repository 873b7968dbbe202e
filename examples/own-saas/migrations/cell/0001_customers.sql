-- mode: transactional
-- oldest-program: 0.0.0
--
-- A new table: programs that do not know it go on.

CREATE TABLE customers (
  tenant_id bigint NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  email text,
  active boolean NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  deleted_at timestamptz,
  PRIMARY KEY (tenant_id, id)
);
SELECT coditect.tenant_table('customers');
