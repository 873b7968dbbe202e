-- mode: transactional
-- oldest-program: 0.0.0
--
-- A new table: programs that do not know it go on.

CREATE TABLE invoices (
  tenant_id bigint NOT NULL,
  id uuid NOT NULL,
  customer_id uuid NOT NULL,
  number text NOT NULL,
  amount bigint NOT NULL CHECK (amount > 0),
  due_on date NOT NULL,
  status text NOT NULL CHECK (status IN ('open', 'paid')),
  paid_at timestamptz CHECK ((paid_at IS NOT NULL) = (status = 'paid')),
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  deleted_at timestamptz,
  PRIMARY KEY (tenant_id, id),
  -- With the tenant: an invoice cannot name another tenant's customer.
  FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id)
);
CREATE INDEX invoices_by_customer ON invoices (tenant_id, customer_id, id);
SELECT coditect.tenant_table('invoices');
