# One environment: its network, cluster, databases, and the way in.

locals {
  name          = "coditect-${var.environment}"
  namespace     = local.name
  workload_pool = module.gke.workload_pool
}

module "network_plan" {
  source      = "../../modules/network-plan"
  environment = var.environment
  reserved    = var.reserved_ranges
}

module "networking" {
  source        = "../../modules/networking"
  project       = var.project
  region        = var.region
  name          = local.name
  ranges        = module.network_plan.ranges
  nat_addresses = var.nat_addresses
}

module "secrets" {
  source            = "../../modules/secrets"
  project           = var.project
  region            = var.region
  name              = local.name
  protection_level  = var.protection_level
  password_versions = var.password_versions
}

module "citus" {
  source                   = "../../modules/citus"
  zones                    = var.zones
  workers                  = var.citus.workers
  worker_replicas          = var.citus.worker_replicas
  spare_per_zone           = var.citus.spare_per_zone
  worker_machine_type      = var.citus.worker_machine_type
  coordinator_machine_type = var.citus.coordinator_machine_type
  workload_pool            = local.workload_pool
  namespace                = local.namespace
}

module "gke" {
  source              = "../../modules/gke"
  project             = var.project
  region              = var.region
  zones               = var.zones
  name                = local.name
  network             = module.networking.network
  subnetwork          = module.networking.nodes_subnetwork
  control_plane_range = module.network_plan.ranges.control_plane
  release_channel     = var.release_channel
  maintenance         = var.maintenance
  pools               = merge({ application = var.application }, module.citus.pools)
  keys                = { cluster = module.secrets.keys["cluster"], disks = module.secrets.keys["disks"] }
  repository          = { location = var.region, name = google_artifact_registry_repository.images.repository_id }
  attestor            = var.attestor
  deletion_protection = var.protected
}

module "cloudsql" {
  source              = "../../modules/cloudsql"
  project             = var.project
  region              = var.region
  name                = local.name
  private_network     = module.networking.private_services
  vcpu                = var.cloudsql.vcpu
  memory_gb           = var.cloudsql.memory_gb
  disk_gb             = var.cloudsql.disk_gb
  high_availability   = var.cloudsql.high_availability
  connections         = var.cloudsql.connections
  backups_kept        = var.cloudsql.backups_kept
  log_days            = var.cloudsql.log_days
  key                 = module.secrets.keys["sql"]
  admin_secret        = module.secrets.password_secrets["admin"]
  admin_version       = module.secrets.password_versions["admin"]
  deletion_protection = var.protected
}

module "redis" {
  source              = "../../modules/redis"
  project             = var.project
  region              = var.region
  name                = local.name
  network             = module.networking.network
  connection_policy   = module.networking.service_connect_policy
  shards              = var.redis.shards
  replicas            = var.redis.replicas
  node_type           = var.redis.node_type
  key                 = module.secrets.keys["redis"]
  deletion_protection = var.protected
}

module "backup" {
  source    = "../../modules/backup"
  project   = var.project
  region    = var.region
  location  = var.backup.location
  name      = local.name
  cluster   = module.gke.id
  namespace = local.namespace
  key       = module.secrets.keys["backups"]
  writers   = module.citus.backup_writers
  readers   = var.backup.readers
  days      = var.backup.days
}

module "edge" {
  source              = "../../modules/edge"
  project             = var.project
  name                = local.name
  host                = var.host
  zone                = var.dns_zone
  requests_per_minute = var.requests_per_minute
  deletion_protection = var.protected
}

module "observability" {
  source          = "../../modules/observability"
  project         = var.project
  region          = var.region
  name            = local.name
  host            = var.host
  emails          = var.emails
  billing_account = var.billing_account
  budget          = var.budget
  log_days        = var.log_days
  log_key         = module.secrets.keys["logs"]
}
