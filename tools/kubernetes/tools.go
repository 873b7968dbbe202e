//go:build tools

// Package tools pins the API server of Kubernetes and its controllers, which tests run against etcd and without nodes.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
)
