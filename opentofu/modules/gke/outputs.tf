output "name" {
  description = "Name of the cluster."
  value       = google_container_cluster.this.name
}

output "id" {
  description = "Id of the cluster."
  value       = google_container_cluster.this.id
}

output "endpoint" {
  description = "DNS name of the cluster's API."
  value       = one(google_container_cluster.this.control_plane_endpoints_config[*].dns_endpoint_config[0].endpoint)
}

output "nodes_account" {
  description = "E-mail address of the nodes' service account."
  value       = google_service_account.nodes.email
}

output "workload_pool" {
  description = "Prefix of a Kubernetes service account as an IAM principal: append /subject/ns/NAMESPACE/sa/NAME."
  value       = "principal://iam.googleapis.com/projects/${data.google_project.this.number}/locations/global/workloadIdentityPools/${var.project}.svc.id.goog"
}
