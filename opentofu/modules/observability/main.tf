# What must be seen from outside the cluster, also when the cluster is what is down: whether the service
# answers, what it costs, and who did what. Metrics and alerts of the platform itself are in monitoring/.

variable "project" {
  description = "Project id."
  type        = string
}

variable "region" {
  description = "Region of the log bucket."
  type        = string
}

variable "name" {
  description = "Prefix of the names."
  type        = string
}

variable "host" {
  description = "Host name whose /health is asked from around the world."
  type        = string
}

variable "emails" {
  description = "Who is told."
  type        = list(string)
  validation {
    condition     = length(var.emails) > 0 && alltrue([for email in var.emails : can(regex("^[^@\\s]+@[^@\\s]+$", email))])
    error_message = "emails: at least one address, each as name@example.com."
  }
}

variable "billing_account" {
  description = "Billing account (ABCDEF-ABCDEF-ABCDEF) whose budget is watched; null: none."
  type        = string
  default     = null
}

variable "budget" {
  description = "Budget of a month."
  type        = object({ amount = number, currency = optional(string, "USD") })
}

variable "log_days" {
  description = "Days that logs are kept."
  type        = number
}

variable "log_key" {
  description = "Id of the key of the log bucket."
  type        = string
}

data "google_project" "this" {
  project_id = var.project
}

resource "google_monitoring_notification_channel" "email" {
  for_each     = toset(var.emails)
  project      = var.project
  display_name = each.value
  type         = "email"
  labels       = { email_address = each.value }
}

resource "google_monitoring_uptime_check_config" "api" {
  project          = var.project
  display_name     = "${var.name} answers"
  timeout          = "10s"
  period           = "60s"
  selected_regions = ["EUROPE", "USA", "ASIA_PACIFIC"]

  http_check {
    path         = "/openapi.json" # /health is not routed to the outside
    port         = 443
    use_ssl      = true
    validate_ssl = true
    accepted_response_status_codes {
      status_class = "STATUS_CLASS_2XX"
    }
  }
  monitored_resource {
    type   = "uptime_url"
    labels = { project_id = var.project, host = var.host }
  }
}

resource "google_monitoring_alert_policy" "unreachable" {
  project      = var.project
  display_name = "${var.name} does not answer"
  combiner     = "OR"
  severity     = "CRITICAL"

  conditions {
    display_name = "Two regions or more could not reach it for two minutes"
    condition_threshold {
      filter          = "metric.type=\"monitoring.googleapis.com/uptime_check/check_passed\" AND metric.label.check_id=\"${google_monitoring_uptime_check_config.api.uptime_check_id}\" AND resource.type=\"uptime_url\""
      comparison      = "COMPARISON_GT"
      threshold_value = 1
      duration        = "120s"
      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = "ALIGN_NEXT_OLDER"
        cross_series_reducer = "REDUCE_COUNT_FALSE"
        group_by_fields      = ["resource.label.host"]
      }
    }
  }
  documentation {
    content   = "The service is unreachable from outside. Begin with docs/TROUBLESHOOTING.md, \"nothing answers\"."
    mime_type = "text/markdown"
  }
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]
}

resource "google_billing_budget" "month" {
  count           = var.billing_account == null || var.billing_account == "" ? 0 : 1
  billing_account = var.billing_account
  display_name    = var.name

  budget_filter {
    projects = ["projects/${data.google_project.this.number}"]
  }
  amount {
    specified_amount {
      currency_code = var.budget.currency
      units         = tostring(var.budget.amount)
    }
  }
  dynamic "threshold_rules" {
    for_each = { actual_half = [0.5, "CURRENT_SPEND"], actual = [1, "CURRENT_SPEND"], forecast = [1, "FORECASTED_SPEND"] }
    content {
      threshold_percent = threshold_rules.value[0]
      spend_basis       = threshold_rules.value[1]
    }
  }
  all_updates_rule {
    monitoring_notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]
    disable_default_iam_recipients   = false
  }
}

# --- Logs ---

resource "google_logging_project_bucket_config" "this" {
  project          = var.project
  location         = var.region
  bucket_id        = var.name
  retention_days   = var.log_days
  enable_analytics = true

  cmek_settings {
    kms_key_name = var.log_key
  }
}

resource "google_logging_project_sink" "this" {
  project                = var.project
  name                   = var.name
  destination            = "logging.googleapis.com/${google_logging_project_bucket_config.this.id}"
  unique_writer_identity = true
}

# Who read which secret, who used which key, who logged in to the database: off by default.
resource "google_project_iam_audit_config" "this" {
  for_each = toset(["secretmanager.googleapis.com", "cloudkms.googleapis.com", "cloudsql.googleapis.com", "container.googleapis.com"])
  project  = var.project
  service  = each.value

  audit_log_config {
    log_type = "ADMIN_READ"
  }
  audit_log_config {
    log_type = "DATA_READ"
  }
  audit_log_config {
    log_type = "DATA_WRITE"
  }
}
