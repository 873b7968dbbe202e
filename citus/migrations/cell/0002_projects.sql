-- mode: transactional
-- oldest-program: 0.1.0
--
-- Projects, tasks, comments. Terms and labels are tables: under row-level security the planner may
-- not use an index through operators that are not leakproof, such as @@ and @>.

CREATE TABLE projects (
  tenant_id bigint NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  deleted_at timestamptz,
  PRIMARY KEY (tenant_id, id)
);
SELECT coditect.tenant_table('projects');

CREATE TABLE tasks (
  tenant_id bigint NOT NULL,
  id uuid NOT NULL,
  project_id uuid NOT NULL,
  title text NOT NULL,
  status text NOT NULL CHECK (status IN ('todo', 'doing', 'done')),
  assignee_id uuid,
  due_on date,
  labels text[] NOT NULL,
  position bigint NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  deleted_at timestamptz,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id),
  FOREIGN KEY (tenant_id, assignee_id) REFERENCES members (tenant_id, id)
);
CREATE INDEX tasks_by_project ON tasks (tenant_id, project_id, id);
CREATE INDEX tasks_by_position ON tasks (tenant_id, project_id, position, id);
CREATE INDEX tasks_by_assignee ON tasks (tenant_id, assignee_id, id);
CREATE INDEX tasks_by_status ON tasks (tenant_id, status, id);
CREATE INDEX tasks_by_due_on ON tasks (tenant_id, due_on, id);
SELECT coditect.tenant_table('tasks');

CREATE TABLE task_labels (
  tenant_id bigint NOT NULL,
  label text NOT NULL,
  task_id uuid NOT NULL,
  PRIMARY KEY (tenant_id, label, task_id),
  FOREIGN KEY (tenant_id, task_id) REFERENCES tasks (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX task_labels_by_task ON task_labels (tenant_id, task_id);
SELECT coditect.tenant_table('task_labels');

CREATE TABLE task_terms (
  tenant_id bigint NOT NULL,
  term text NOT NULL,
  task_id uuid NOT NULL,
  PRIMARY KEY (tenant_id, term, task_id),
  FOREIGN KEY (tenant_id, task_id) REFERENCES tasks (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX task_terms_by_task ON task_terms (tenant_id, task_id);
SELECT coditect.tenant_table('task_terms');

CREATE TABLE comments (
  tenant_id bigint NOT NULL,
  id uuid NOT NULL,
  task_id uuid NOT NULL,
  body text NOT NULL,
  author_type text NOT NULL,
  author_id uuid,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  deleted_at timestamptz,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, task_id) REFERENCES tasks (tenant_id, id)
);
CREATE INDEX comments_by_task ON comments (tenant_id, task_id, id);
SELECT coditect.tenant_table('comments');
