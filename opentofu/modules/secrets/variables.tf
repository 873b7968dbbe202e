variable "project" {
  description = "Project id."
  type        = string
}

variable "region" {
  description = "Region of the keys and of the secrets' replicas."
  type        = string
}

variable "name" {
  description = "Prefix of the names."
  type        = string
}

variable "protection_level" {
  description = "SOFTWARE, or HSM for keys that never leave a hardware module."
  type        = string
  default     = "SOFTWARE"
  validation {
    condition     = contains(["SOFTWARE", "HSM"], var.protection_level)
    error_message = "protection_level must be SOFTWARE or HSM."
  }
}

variable "password_versions" {
  description = "Version of each generated password, by role. Raise one to have it generated anew."
  type        = map(number)
  default     = {}
  validation {
    condition = length(setsubtract(keys(var.password_versions),
    ["admin", "app", "operator", "maintenance", "migrator", "import", "identity", "cluster", "superuser", "replication", "rewind"])) == 0
    error_message = "password_versions: the roles are admin, app, operator, maintenance, migrator, import, identity, cluster, superuser, replication and rewind."
  }
}
