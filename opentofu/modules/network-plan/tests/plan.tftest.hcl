run "each_environment_has_its_own" {
  command = plan
  variables {
    environment = "production"
  }
  assert {
    condition = output.ranges == {
      nodes            = "10.80.0.0/18"
      service_connect  = "10.80.128.0/20"
      control_plane    = "10.80.224.0/28"
      private_services = "10.80.240.0/20"
      services         = "10.82.0.0/16"
      pods             = "10.84.0.0/14"
    }
    error_message = "The plan of production moved: ${jsonencode(output.ranges)}. What runs cannot be renumbered."
  }
}

run "pods_have_room_for_a_thousand_nodes" {
  command = plan
  variables {
    environment = "staging"
  }
  assert {
    condition     = pow(2, 24 - tonumber(split("/", output.ranges.pods)[1])) >= 1024
    error_message = "A node takes a /24 of pods: ${output.ranges.pods} is too small for 1,024 nodes."
  }
  assert {
    condition     = alltrue([for cidr in values(output.ranges) : cidrsubnet(cidr, 0, 0) == cidr])
    error_message = "A range is not on its boundary."
  }
}

run "unknown_environment" {
  command = plan
  variables {
    environment = "prod"
  }
  expect_failures = [var.environment]
}

# 10.14.0.0/12 looks right and is not: its first address is 10.0.0.0.
run "off_its_boundary" {
  command = plan
  variables {
    environment  = "dev"
    environments = { dev = "10.14.0.0/12" }
  }
  expect_failures = [var.environments]
}

run "not_a_range" {
  command = plan
  variables {
    environment  = "dev"
    environments = { dev = "10.16.0.0" }
  }
  expect_failures = [var.environments]
}

run "public_addresses" {
  command = plan
  variables {
    environment  = "dev"
    environments = { dev = "34.16.0.0/12" }
  }
  expect_failures = [var.environments]
}

run "two_environments_overlap" {
  command = plan
  variables {
    environment  = "dev"
    environments = { dev = "10.16.0.0/12", staging = "10.16.0.0/12" }
  }
  expect_failures = [output.ranges]
}

run "an_office_overlaps" {
  command = plan
  variables {
    environment = "dev"
    reserved    = { office = "10.81.0.0/16" }
  }
  expect_failures = [output.ranges]
}

run "an_office_beside_them" {
  command = plan
  variables {
    environment = "dev"
    reserved    = { office = "10.0.0.0/16", docker = "172.17.0.0/16" }
  }
}
