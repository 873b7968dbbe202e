output "kubernetes_environment" {
  description = "Lines of kubernetes/overlays/ENVIRONMENT/environment.env, which scripts/deploy.sh writes."
  value = {
    PROJECT          = var.project
    ACCOUNTS         = "${var.project}.iam.gserviceaccount.com"
    REGION           = var.region
    CLUSTER          = local.name
    PRIVATE_SERVICES = module.network_plan.ranges.private_services
    HOST             = var.host
    CONTROL_PLANE    = module.network_plan.ranges.control_plane
    BACKUP_BUCKET    = module.backup.bucket
    DISKS_KEY        = "projects/${var.project}/locations/${var.region}/keyRings/${local.name}/cryptoKeys/disks"
  }
}

output "cluster" {
  description = "What kubectl needs to reach the cluster."
  value       = { name = module.gke.name, location = var.region, project = var.project, endpoint = module.gke.endpoint }
}

output "image_repository" {
  description = "Where images are pushed."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}

output "database_instance" {
  description = "Name of the managed PostgreSQL."
  value       = module.cloudsql.name
}

output "backup_bucket" {
  description = "Bucket of pgBackRest."
  value       = module.backup.bucket
}

output "edge" {
  description = "Names that the Gateway of kubernetes/ingress refers to, and what to tell your registrar."
  value = {
    address         = module.edge.address
    address_name    = module.edge.address_name
    certificate_map = module.edge.certificate_map
    security_policy = module.edge.security_policy
    ssl_policy      = module.edge.ssl_policy
    name_servers    = module.edge.name_servers
  }
}

output "nat_addresses" {
  description = "Where outgoing connections come from, when nat_addresses is set."
  value       = module.networking.nat_addresses
}
