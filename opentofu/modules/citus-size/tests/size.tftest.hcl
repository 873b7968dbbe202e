run "no_citus_no_nodes" {
  command = plan
  variables {
    workers = 0
    zones   = 3
  }
  assert {
    condition     = output.pods == 0 && output.worker_nodes_per_zone == 0 && output.coordinator_nodes_per_zone == 0
    error_message = "Without workers there must be no database nodes."
  }
}

run "eight_workers_in_three_zones" {
  command = plan
  variables {
    workers         = 8
    worker_replicas = 3
    zones           = 3
    spare_per_zone  = 1
  }
  assert {
    condition     = output.pods == 27 && output.worker_nodes_per_zone == 9 && output.coordinator_nodes_per_zone == 1
    error_message = "24 worker pods in 3 zones are 8 nodes in each and a spare; got ${output.worker_nodes_per_zone}."
  }
}

run "a_part_of_a_zone_is_a_whole_node" {
  command = plan
  variables {
    workers = 2
    zones   = 3
  }
  assert {
    condition     = output.worker_nodes_per_zone * 3 >= 4
    error_message = "4 pods do not fit."
  }
}

run "a_worker_without_standby" {
  command = plan
  variables {
    workers         = 2
    worker_replicas = 1
    zones           = 3
  }
  expect_failures = [var.worker_replicas]
}

run "half_a_worker" {
  command = plan
  variables {
    workers = 1.5
    zones   = 3
  }
  expect_failures = [var.workers]
}

run "one_zone" {
  command = plan
  variables {
    workers = 2
    zones   = 1
  }
  expect_failures = [var.zones]
}
