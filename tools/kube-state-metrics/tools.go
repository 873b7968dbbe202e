//go:build tools

// Package tools pins kube-state-metrics, which rules about backups ask.
package tools

import _ "k8s.io/kube-state-metrics/v2"
