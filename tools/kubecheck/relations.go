// What objects say of each other.

package main

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	psa "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

func selects(o *objects, name string, selector *metav1.LabelSelector, pod corev1.PodTemplateSpec) {
	if selector == nil || !matches(*selector, pod.Labels) {
		o.problem("%s: its selector does not match the labels of its pods", name)
	}
}

func matches(selector metav1.LabelSelector, labels map[string]string) bool {
	s, err := metav1.LabelSelectorAsSelector(&selector)
	return err == nil && s.Matches(labelSet(labels))
}

type labelSet map[string]string

func (l labelSet) Has(key string) bool { _, ok := l[key]; return ok }

func (l labelSet) Get(key string) string { return l[key] }

func (l labelSet) Lookup(key string) (string, bool) { v, ok := l[key]; return v, ok }

func (o *objects) role(name string, x rbacv1.Role) {
	for _, rule := range x.Rules {
		for _, list := range [][]string{rule.Verbs, rule.Resources, rule.APIGroups} {
			for _, word := range list {
				if word == "*" {
					o.problem("%s: a rule with *", name)
				}
			}
		}
		// One that is named may be read: nothing else of secrets.
		one := len(rule.ResourceNames) > 0 && slices.Equal(rule.Verbs, []string{"get"})
		for _, resource := range rule.Resources {
			if (resource == "secrets" && !one) || strings.HasPrefix(resource, "pods/exec") || resource == "serviceaccounts/token" {
				o.problem("%s: it may use %s", name, resource)
			}
		}
		for _, verb := range rule.Verbs {
			if verb == "bind" || verb == "escalate" || verb == "impersonate" {
				o.problem("%s: it may %s", name, verb)
			}
		}
	}
}

// Between objects.
func (o *objects) relate() {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks())
	if err != nil {
		o.problem("pod security: %v", err)
		return
	}
	restricted := psa.LevelVersion{Level: psa.LevelRestricted, Version: psa.LatestVersion()}
	for name, t := range o.templates {
		for _, result := range evaluator.EvaluatePod(restricted, &t.pod.ObjectMeta, &t.pod.Spec) {
			if !result.Allowed {
				o.problem("%s: pod security: %s: %s", name, result.ForbiddenReason, result.ForbiddenDetail)
			}
		}
		o.workload(name, t)
	}
	for _, n := range o.namespaces {
		if n.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
			o.problem("Namespace/%s: pod security is not enforced", n.Name)
		}
	}
	for namespace := range o.inside {
		if _, ok := o.namespaces[namespace]; !ok && len(o.namespaces) > 0 {
			o.problem("objects are in the namespace %s, which is not among them", namespace)
		}
	}
	for _, s := range o.services {
		if s.Spec.Type == corev1.ServiceTypeNodePort || s.Spec.Type == corev1.ServiceTypeLoadBalancer {
			o.problem("Service/%s: %s opens it to the world", s.Name, s.Spec.Type)
		}
		found := len(s.Spec.Selector) == 0 // who keeps its endpoints is another program
		for _, t := range o.templates {
			found = found || (len(s.Spec.Selector) > 0 && matches(metav1.LabelSelector{MatchLabels: s.Spec.Selector}, t.pod.Labels))
		}
		if !found {
			o.problem("Service/%s: it selects no pods", s.Name)
		}
	}
	for _, h := range o.scalers {
		if _, ok := o.templates[h.Spec.ScaleTargetRef.Kind+"/"+h.Spec.ScaleTargetRef.Name]; !ok {
			o.problem("HorizontalPodAutoscaler/%s: there is no %s/%s", h.Name, h.Spec.ScaleTargetRef.Kind, h.Spec.ScaleTargetRef.Name)
		}
		if h.Spec.MinReplicas != nil && *h.Spec.MinReplicas > h.Spec.MaxReplicas {
			o.problem("HorizontalPodAutoscaler/%s: minReplicas is above maxReplicas", h.Name)
		}
		if o.replicas[h.Spec.ScaleTargetRef.Kind+"/"+h.Spec.ScaleTargetRef.Name] {
			o.problem("%s/%s: replicas would undo the scaler's number with each release", h.Spec.ScaleTargetRef.Kind, h.Spec.ScaleTargetRef.Name)
		}
	}
	o.room()
	for _, s := range o.sets {
		o.stateful(s)
	}
	for _, c := range o.certs {
		if c.Spec.IssuerRef.Kind == "Issuer" && !o.issuers[c.Spec.IssuerRef.Name] {
			o.problem("Certificate/%s: there is no Issuer/%s", c.Name, c.Spec.IssuerRef.Name)
		}
	}
	for _, b := range o.budgets {
		found := false
		for _, t := range o.templates {
			found = found || (b.Spec.Selector != nil && matches(*b.Spec.Selector, t.pod.Labels))
		}
		if !found {
			o.problem("PodDisruptionBudget/%s: it selects no pods", b.Name)
		}
	}
	for _, e := range o.externals {
		if e.Spec.SecretStoreRef.Kind == "SecretStore" && !o.stores[e.Spec.SecretStoreRef.Name] {
			o.problem("ExternalSecret/%s: there is no SecretStore/%s", e.Name, e.Spec.SecretStoreRef.Name)
		}
	}
	for _, r := range o.routes {
		kinds := map[string]bool{}
		for _, plugin := range strings.Split(r.Annotations["konghq.com/plugins"], ",") {
			kind, ok := o.plugins[plugin]
			if plugin != "" && !ok {
				o.problem("HTTPRoute/%s: there is no KongPlugin/%s", r.Name, plugin)
			}
			if ok && kinds[kind] {
				o.problem("HTTPRoute/%s: two plugins of the kind %s, of which Kong runs one", r.Name, kind)
			}
			kinds[kind] = true
		}
		for _, rule := range r.Spec.Rules {
			for _, b := range rule.BackendRefs {
				if s, ok := o.services[string(b.Name)]; ok && len(s.Spec.Selector) > 0 && r.Annotations["konghq.com/preserve-host"] != "false" {
					o.problem("HTTPRoute/%s: Kong asks for the name that the client did, not for the service's", r.Name)
				}
				o.backend("HTTPRoute/"+r.Name, b)
				o.upstream("HTTPRoute/"+r.Name, b, rule.BackendRefs[0])
			}
		}
	}
	for _, p := range o.policies {
		o.networkPolicy(p)
	}
	for name, target := range o.targets {
		_, service := o.services[string(target.Name)]
		_, gateway := o.gateways[string(target.Name)]
		if (target.Kind == "Service" && !service) || (target.Kind == "Gateway" && !gateway) {
			o.problem("%s: there is no %s/%s", name, target.Kind, target.Name)
		}
	}
	o.monitors()
}

// Whether there is something to look at.
func (o *objects) monitors() {
	for _, m := range o.serviceMonitors {
		for _, e := range m.Spec.Endpoints {
			found := false
			for _, s := range o.services {
				for _, p := range s.Spec.Ports {
					found = found || (p.Name == e.Port && matches(m.Spec.Selector, s.Labels))
				}
			}
			if !found {
				o.problem("ServiceMonitor/%s: no Service that it selects has the port %s", m.Name, e.Port)
			}
		}
	}
	for _, m := range o.podMonitors {
		if len(m.Spec.NamespaceSelector.MatchNames) > 0 {
			continue // pods of a chart
		}
		for _, e := range m.Spec.PodMetricsEndpoints {
			found := false
			for _, t := range o.templates {
				for _, c := range t.pod.Spec.Containers {
					for _, p := range c.Ports {
						found = found || (e.Port != nil && p.Name == *e.Port && matches(m.Spec.Selector, t.pod.Labels))
					}
				}
			}
			if !found {
				o.problem("PodMonitor/%s: no pod that it selects has such a port", m.Name)
			}
		}
	}
}
