# Phase 1: PostgreSQL as a service, for the directory and the first cell. Citus cannot be loaded here; phase
# 2 runs it on nodes of the cluster.

# No password is in plan or state: it is read from Secret Manager while it is applied.
ephemeral "google_secret_manager_secret_version" "admin" {
  secret  = var.admin_secret
  version = var.admin_version
}

resource "google_sql_database_instance" "this" {
  project             = var.project
  name                = var.name
  region              = var.region
  database_version    = "POSTGRES_15" # what the tests run on, and what Citus runs on
  encryption_key_name = var.key
  deletion_protection = var.deletion_protection # against `tofu destroy`

  settings {
    edition                     = "ENTERPRISE"
    tier                        = "db-custom-${var.vcpu}-${var.memory_gb * 1024}"
    availability_type           = var.high_availability ? "REGIONAL" : "ZONAL"
    disk_type                   = "PD_SSD"
    disk_size                   = var.disk_gb
    disk_autoresize             = true
    deletion_protection_enabled = var.deletion_protection # against everybody else
    retain_backups_on_delete    = true
    connector_enforcement       = "NOT_REQUIRED" # programs connect by TLS and verify the certificate

    ip_configuration {
      ipv4_enabled       = false
      private_network    = var.private_network
      allocated_ip_range = var.range_name
      ssl_mode           = "ENCRYPTED_ONLY"
      server_ca_mode     = "GOOGLE_MANAGED_INTERNAL_CA" # one of the instance alone: verify-ca is enough
    }
    backup_configuration {
      enabled                        = true
      location                       = var.region
      start_time                     = "01:00"
      point_in_time_recovery_enabled = true
      transaction_log_retention_days = var.log_days
      backup_retention_settings {
        retained_backups = var.backups_kept
        retention_unit   = "COUNT"
      }
    }
    maintenance_window {
      day          = 7
      hour         = 3
      update_track = "stable"
    }
    insights_config {
      query_insights_enabled  = true
      query_string_length     = 1024
      record_application_tags = false
      record_client_address   = false
    }
    password_validation_policy {
      enable_password_policy      = true
      min_length                  = 32
      complexity                  = "COMPLEXITY_UNSPECIFIED"
      disallow_username_substring = true
    }

    # Memory is set by Cloud SQL from the tier; a flag here would be in 8 kB pages and soon be wrong.
    dynamic "database_flags" {
      for_each = {
        max_connections                     = tostring(var.connections)
        idle_in_transaction_session_timeout = "60000"
        log_min_duration_statement          = "1000"
        log_lock_waits                      = "on"
        log_checkpoints                     = "on"
        log_connections                     = "on"
        log_disconnections                  = "on"
        log_temp_files                      = "0"
        wal_compression                     = "on"
      }
      content {
        name  = database_flags.key
        value = database_flags.value
      }
    }
  }

  lifecycle {
    ignore_changes = [settings[0].disk_size] # it grows by itself
  }
}

# CREATEROLE and CREATEDB, not superuser: `coditect bootstrap` makes the databases and all other roles.
resource "google_sql_user" "admin" {
  project             = var.project
  instance            = google_sql_database_instance.this.name
  name                = "coditect_admin"
  password_wo         = ephemeral.google_secret_manager_secret_version.admin.secret_data
  password_wo_version = tonumber(var.admin_version)
  deletion_policy     = "ABANDON" # it owns the databases
}
