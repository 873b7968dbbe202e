// Pods, and what holds data.

package main

import (
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Whether the namespace's quota has room for the most pods of everything, with one more of what is rolled out.
func (o *objects) room() {
	most := map[string]int64{}
	for name, t := range o.templates {
		most[name] = t.count
	}
	for _, h := range o.scalers {
		most[h.Spec.ScaleTargetRef.Kind+"/"+h.Spec.ScaleTargetRef.Name] = int64(h.Spec.MaxReplicas)
	}
	needs := func(given func(corev1.ResourceRequirements) int64) (need int64) {
		for name, t := range o.templates {
			count := most[name]
			if strings.HasPrefix(name, "Deployment/") {
				count++
			}
			for _, c := range t.pod.Spec.Containers {
				need += given(c.Resources) * count
			}
		}
		return need
	}
	for resource, need := range map[corev1.ResourceName]int64{
		"requests.cpu":    needs(func(r corev1.ResourceRequirements) int64 { return r.Requests.Cpu().MilliValue() }),
		"requests.memory": needs(func(r corev1.ResourceRequirements) int64 { return r.Requests.Memory().MilliValue() }),
		"limits.memory":   needs(func(r corev1.ResourceRequirements) int64 { return r.Limits.Memory().MilliValue() }),
	} {
		if quota, limited := o.quota[resource]; limited && need > quota.MilliValue() {
			o.problem("ResourceQuota: %s of %s has no room for the most pods, which need %d thousandths", resource, quota.String(), need)
		}
	}
	var pods int64
	for name, count := range most {
		pods += count
		if strings.HasPrefix(name, "Deployment/") {
			pods++
		}
	}
	if quota, limited := o.quota["pods"]; limited && pods > quota.Value() {
		o.problem("ResourceQuota: pods of %s has no room for %d", quota.String(), pods)
	}
}

// What holds data.
func (o *objects) stateful(s appsv1.StatefulSet) {
	name := "StatefulSet/" + s.Name
	if service, ok := o.services[s.Spec.ServiceName]; !ok || service.Spec.ClusterIP != corev1.ClusterIPNone || !matches(metav1.LabelSelector{MatchLabels: service.Spec.Selector}, s.Spec.Template.Labels) {
		o.problem("%s: its pods have no names: %s is no headless Service of theirs", name, s.Spec.ServiceName)
	}
	for _, c := range s.Spec.Template.Spec.Containers {
		for _, e := range c.Env {
			if strings.HasSuffix(e.Name, "CONNECT_ADDRESS") && (e.ValueFrom != nil || strings.Contains(e.Value, "IP")) {
				o.problem("%s: %s is an address that is another one after each restart: use the pod's name", name, e.Name)
			}
		}
	}
	if len(s.Spec.VolumeClaimTemplates) == 0 {
		o.problem("%s: its data would be gone with the pod", name)
	}
	for _, v := range s.Spec.VolumeClaimTemplates {
		if v.Spec.StorageClassName == nil || !o.classes[*v.Spec.StorageClassName] {
			o.problem("%s: there is no such StorageClass for %s", name, v.Name)
		}
	}
	if grace := s.Spec.Template.Spec.TerminationGracePeriodSeconds; grace == nil || *grace < 120 {
		o.problem("%s: terminationGracePeriodSeconds is too short for a last checkpoint", name)
	}
	affinity := s.Spec.Template.Spec.Affinity
	if affinity == nil || affinity.PodAntiAffinity == nil || len(affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution) == 0 {
		o.problem("%s: two of its pods may be on one node", name)
	}
	spread := false
	for _, c := range s.Spec.Template.Spec.TopologySpreadConstraints {
		spread = spread || (c.WhenUnsatisfiable == corev1.DoNotSchedule && c.TopologyKey == corev1.LabelTopologyZone)
	}
	if !spread {
		o.problem("%s: two of its pods may be in one zone", name)
	}
	for _, b := range o.budgets {
		if b.Spec.Selector == nil || !matches(*b.Spec.Selector, s.Spec.Template.Labels) {
			continue
		}
		for other, t := range o.templates {
			if other != name && matches(*b.Spec.Selector, t.pod.Labels) {
				o.problem("%s: its budget, %s, is also that of %s: each would wait for the other", name, b.Name, other)
			}
		}
	}
}

func (o *objects) workload(name string, t workload) {
	spec := t.pod.Spec
	if (spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken) && !o.trusted[spec.ServiceAccountName] {
		o.problem("%s: automountServiceAccountToken is not false", name)
	}
	if spec.ServiceAccountName != "" && !o.accounts[spec.ServiceAccountName] {
		o.problem("%s: there is no ServiceAccount/%s", name, spec.ServiceAccountName)
	}
	if t.serves && spec.ServiceAccountName == "" {
		o.problem("%s: it runs as the namespace's default account", name)
	}
	for _, c := range append(append([]corev1.Container{}, spec.InitContainers...), spec.Containers...) {
		if !strings.Contains(c.Image, "@sha256:") {
			o.problem("%s: the image %s has no digest", name, c.Image)
		}
		if c.SecurityContext == nil || c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem {
			o.problem("%s: %s may write to its image", name, c.Name)
		}
		if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
			o.problem("%s: %s needs requests of cpu and memory, and a limit of memory", name, c.Name)
		}
		for _, e := range c.Env {
			upper := strings.ToUpper(e.Name)
			if e.Value != "" && (strings.Contains(upper, "PASSWORD") || strings.Contains(upper, "SECRET") || strings.Contains(upper, "SEALING_KEY")) {
				o.problem("%s: %s has the secret %s written down", name, c.Name, e.Name)
			}
		}
		for _, from := range c.EnvFrom {
			if from.SecretRef != nil && !o.secrets[from.SecretRef.Name] {
				o.problem("%s: nothing makes the secret %s", name, from.SecretRef.Name)
			}
			if from.ConfigMapRef != nil && !o.configs[from.ConfigMapRef.Name] {
				o.problem("%s: there is no ConfigMap/%s", name, from.ConfigMapRef.Name)
			}
		}
	}
	for _, v := range spec.Volumes {
		sources := []corev1.VolumeProjection{{}}
		if v.Secret != nil {
			sources[0].Secret = &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: v.Secret.SecretName}}
		}
		if v.ConfigMap != nil {
			sources[0].ConfigMap = &corev1.ConfigMapProjection{LocalObjectReference: v.ConfigMap.LocalObjectReference}
		}
		if v.Projected != nil {
			sources = v.Projected.Sources
		}
		for _, s := range sources {
			if s.Secret != nil && !o.secrets[s.Secret.Name] {
				o.problem("%s: nothing makes the secret %s", name, s.Secret.Name)
			}
			if s.ConfigMap != nil && !o.configs[s.ConfigMap.Name] {
				o.problem("%s: there is no ConfigMap/%s", name, s.ConfigMap.Name)
			}
		}
	}
	if !t.serves {
		return
	}
	for _, c := range spec.Containers {
		if c.ReadinessProbe == nil || c.LivenessProbe == nil {
			o.problem("%s: %s has no probes", name, c.Name)
		}
		o.probes(name, c)
	}
	if spec.TerminationGracePeriodSeconds == nil || *spec.TerminationGracePeriodSeconds < 30 {
		o.problem("%s: terminationGracePeriodSeconds leaves no time to drain", name)
	}
	if len(spec.TopologySpreadConstraints) == 0 {
		o.problem("%s: nothing spreads it over zones", name)
	}
	budget, fenced := false, false
	for _, b := range o.budgets {
		budget = budget || (b.Spec.Selector != nil && matches(*b.Spec.Selector, t.pod.Labels))
	}
	for _, p := range o.policies {
		fenced = fenced || (len(p.Spec.PodSelector.MatchLabels) > 0 && matches(p.Spec.PodSelector, t.pod.Labels))
	}
	if !budget {
		o.problem("%s: no PodDisruptionBudget", name)
	}
	if !fenced {
		o.problem("%s: no NetworkPolicy of its own", name)
	}
}

// A probe has no certificate.
func (o *objects) probes(name string, c corev1.Container) {
	value := func(key string) string {
		at := slices.IndexFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == key })
		if at < 0 {
			return ""
		}
		return c.Env[at].Value
	}
	if value("CODITECT_HTTP_TLS_CLIENT_CA_FILE") == "" {
		return
	}
	for _, p := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
		if p == nil || p.HTTPGet == nil {
			continue
		}
		port := p.HTTPGet.Port.String()
		for _, of := range c.Ports {
			if of.Name == port {
				port = strconv.Itoa(int(of.ContainerPort))
			}
		}
		if port != value("CODITECT_HTTP_MANAGEMENT_PORT") {
			o.problem("%s: a probe of %s asks where only clients with a certificate are answered", name, c.Name)
		}
	}
}
