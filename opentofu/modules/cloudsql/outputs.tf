output "name" {
  description = "Name of the instance."
  value       = google_sql_database_instance.this.name
}

output "address" {
  description = "Private address of the instance."
  value       = google_sql_database_instance.this.private_ip_address
}

output "authority" {
  description = "PEM certificate of who signs the instance's certificate."
  value       = google_sql_database_instance.this.server_ca_cert[0].cert
}
