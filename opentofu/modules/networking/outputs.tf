output "network" {
  description = "Id of the network."
  value       = google_compute_network.this.id
}

output "nodes_subnetwork" {
  description = "Id of the nodes' subnetwork, whose secondary ranges are `pods` and `services`."
  value       = google_compute_subnetwork.nodes.id
}

output "private_services" {
  description = "The network, once Cloud SQL can be put into it."
  value       = google_service_networking_connection.private_services.network
}

output "service_connect_policy" {
  description = "Id of the policy that lets Memorystore take addresses."
  value       = google_network_connectivity_service_connection_policy.redis.id
}

output "nat_addresses" {
  description = "Static addresses of outgoing connections."
  value       = google_compute_address.nat[*].address
}
