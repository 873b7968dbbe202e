output "keys" {
  description = "Id of each key, once Google's agents may use it."
  value       = { for name, key in google_kms_crypto_key.this : name => key.id }
  depends_on  = [google_kms_crypto_key_iam_member.agents]
}

output "password_secrets" {
  description = "Id of the secret that holds each role's password."
  value       = { for role, secret in google_secret_manager_secret.password : role => secret.id }
}

output "password_versions" {
  description = "The newest version of each role's password: its name, not its value."
  value       = { for role, version in google_secret_manager_secret_version.password : role => version.version }
}

output "secret_ids" {
  description = "Short names of all secrets of this module."
  value = concat([for secret in google_secret_manager_secret.password : secret.secret_id],
  [for secret in google_secret_manager_secret.kept : secret.secret_id])
}
