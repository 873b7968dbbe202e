-- What Patroni asks of Citus, and no more: a list of nodes. It stands in for Citus where that is not installed, so that Patroni
-- runs its Citus section all the same (patroni/postgresql/citus.py of 3.0.2). Tables are not distributed.
CREATE TABLE public.pg_dist_node (
  nodeid int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, groupid int NOT NULL, nodename text NOT NULL, nodeport int NOT NULL,
  noderole text NOT NULL, nodecluster text NOT NULL, UNIQUE (nodename, nodeport));
ALTER TABLE public.pg_dist_node SET SCHEMA pg_catalog;
CREATE TABLE public.pg_dist_authinfo (nodeid int NOT NULL, rolename name NOT NULL, authinfo text NOT NULL);
ALTER TABLE public.pg_dist_authinfo SET SCHEMA pg_catalog;

CREATE FUNCTION pg_catalog.citus_add_node(host text, port int, grp int, role text, cluster text) RETURNS int LANGUAGE sql AS
  $$ INSERT INTO pg_dist_node (groupid, nodename, nodeport, noderole, nodecluster) VALUES (grp, host, port, role, cluster) RETURNING nodeid $$;
CREATE FUNCTION pg_catalog.citus_set_coordinator_host(host text, port int, role text, cluster text) RETURNS void LANGUAGE sql AS
  $$ INSERT INTO pg_dist_node (groupid, nodename, nodeport, noderole, nodecluster) VALUES (0, host, port, role, cluster) $$;
CREATE FUNCTION pg_catalog.citus_update_node(node int, host text, port int, force boolean, cooldown int) RETURNS void LANGUAGE sql AS
  $$ UPDATE pg_dist_node SET nodename = host, nodeport = port WHERE nodeid = node $$;

-- One point in the log of every node. The drill makes the extension dblink.
CREATE FUNCTION pg_catalog.citus_create_restore_point(name text) RETURNS pg_lsn LANGUAGE plpgsql AS $$
DECLARE
  node record;
  point text;
BEGIN
  FOR node IN SELECT nodename, nodeport FROM pg_dist_node LOOP
    SELECT place INTO point FROM public.dblink(
      format('host=%s port=%s dbname=%s user=postgres %s', node.nodename, node.nodeport, current_database(), current_setting('citus.node_conninfo')),
      format('SELECT pg_create_restore_point(%L)::text', name)) AS t (place text);
  END LOOP;
  RETURN point::pg_lsn;
END $$;
