// Command kubecheck reads rendered Kubernetes objects and says what the API server, the Pod Security
// admission or an operator would find wrong with them, and what this project asks of its own services.
//
// Usage: kubecheck [-service NAME:PORT] FILE    problems, one a line; exit code 1 when there are any
//
//	kubecheck -network FILE    who may connect to whom, by the network policies
//	kubecheck -secret NAME FILE KEY=VALUE...
//	                           what that ExternalSecret's template makes of these values, as JSON
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	esv1 "github.com/external-secrets/external-secrets/apis/externalsecrets/v1"
	"github.com/external-secrets/external-secrets/pkg/template/v2"
	"github.com/np-guard/netpol-analyzer/pkg/netpol/connlist"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	psa "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

// KongPlugin as Kong's operator has it; its types are in no module that can be imported alone. The
// settings of each plugin are checked by name against Kong 3.9's own schemas.
type KongPlugin struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Plugin            string         `json:"plugin"`
	InstanceName      string         `json:"instance_name,omitempty"`
	Disabled          bool           `json:"disabled,omitempty"`
	RunOn             string         `json:"run_on,omitempty"`
	Protocols         []string       `json:"protocols,omitempty"`
	Ordering          map[string]any `json:"ordering,omitempty"`
	Config            map[string]any `json:"config,omitempty"`
}

// Policies of GKE's Gateway controller, as far as they are used here (cloud.google.com/kubernetes-engine/docs/how-to/
// configure-gateway-resources); their types are in no module that can be imported.
type gkePolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              struct {
		TargetRef gatewayv1.LocalObjectReference `json:"targetRef"`
		Default   struct {
			SSLPolicy          string `json:"sslPolicy,omitempty"`
			SecurityPolicy     string `json:"securityPolicy,omitempty"`
			TimeoutSec         int    `json:"timeoutSec,omitempty"`
			CheckIntervalSec   int    `json:"checkIntervalSec,omitempty"`
			HealthyThreshold   int    `json:"healthyThreshold,omitempty"`
			UnhealthyThreshold int    `json:"unhealthyThreshold,omitempty"`
			ConnectionDraining *struct {
				DrainingTimeoutSec int `json:"drainingTimeoutSec"`
			} `json:"connectionDraining,omitempty"`
			Logging *struct {
				Enabled    bool `json:"enabled"`
				SampleRate int  `json:"sampleRate,omitempty"`
			} `json:"logging,omitempty"`
			Config *struct {
				Type            string `json:"type"`
				HTTPHealthCheck *struct {
					Port        int    `json:"port"`
					RequestPath string `json:"requestPath"`
				} `json:"httpHealthCheck,omitempty"`
			} `json:"config,omitempty"`
		} `json:"default"`
	} `json:"spec"`
}

var kongSettings = map[string][]string{
	"request-transformer": {"http_method", "remove", "rename", "replace", "add", "append"},
	"correlation-id":      {"header_name", "generator", "echo_downstream"},
	"rate-limiting": {"second", "minute", "hour", "day", "month", "year", "limit_by", "header_name", "path", "policy",
		"fault_tolerant", "redis", "hide_client_headers", "error_code", "error_message", "sync_rate"},
	"opentelemetry": {"traces_endpoint", "logs_endpoint", "headers", "resource_attributes", "queue", "batch_span_count",
		"batch_flush_delay", "connect_timeout", "send_timeout", "read_timeout", "http_response_header_for_traceid",
		"header_type", "sampling_rate", "sampling_strategy", "propagation"},
}

// Objects by kind, as far as the checks between them need them.
type objects struct {
	templates       map[string]workload // "Deployment/backend"
	services        map[string]corev1.Service
	accounts        map[string]bool
	trusted         map[string]bool // accounts that a RoleBinding gives rights to
	secrets         map[string]bool
	configs         map[string]bool
	issuers         map[string]bool
	classes         map[string]bool
	sets            []appsv1.StatefulSet
	certs           []certmanagerv1.Certificate
	stores          map[string]bool
	plugins         map[string]string // name -> kind
	quota           corev1.ResourceList
	replicas        map[string]bool // Deployments that say how many they are
	budgets         []policyv1.PodDisruptionBudget
	policies        []networkingv1.NetworkPolicy
	serviceMonitors []monitoringv1.ServiceMonitor
	podMonitors     []monitoringv1.PodMonitor
	gateways        map[string]gatewayv1.Gateway
	targets         map[string]gatewayv1.LocalObjectReference // what a policy of GKE is for
	scalers         []autoscalingv2.HorizontalPodAutoscaler
	routes          []gatewayv1.HTTPRoute
	externals       []esv1.ExternalSecret
	namespaces      map[string]corev1.Namespace
	inside          map[string]bool // namespaces that objects are in
	problems        []string
}

type workload struct {
	pod    corev1.PodTemplateSpec
	serves bool  // runs for good
	count  int64 // of pods, when the object says it
}

func (o *objects) problem(format string, a ...any) {
	o.problems = append(o.problems, fmt.Sprintf(format, a...))
}

// Decoding is strict: an unknown or repeated field is an error, as with `kubectl --validate=strict`.
func decode[T any](o *objects, name string, document []byte, use func(T)) {
	var object T
	if err := yaml.UnmarshalStrict(document, &object); err != nil {
		o.problem("%s: %v", name, err)
		return
	}
	use(object)
}

func (o *objects) read(document []byte) {
	var head struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        metav1.ObjectMeta `json:"metadata"`
	}
	if err := yaml.Unmarshal(document, &head); err != nil {
		o.problem("not an object: %v", err)
		return
	}
	name := head.Kind + "/" + head.Metadata.Name
	clusterWide := head.Kind == "Namespace" || head.Kind == "StorageClass" || head.Kind == "GatewayClass"
	if !clusterWide && head.Metadata.Namespace == "" {
		o.problem("%s: in no namespace", name)
	}
	if !clusterWide {
		o.inside[head.Metadata.Namespace] = true
	}
	switch head.APIVersion + " " + head.Kind {
	case "v1 Namespace":
		decode(o, name, document, func(x corev1.Namespace) { o.namespaces[x.Name] = x })
	case "v1 Service":
		decode(o, name, document, func(x corev1.Service) { o.services[x.Name] = x })
	case "v1 ServiceAccount":
		decode(o, name, document, func(x corev1.ServiceAccount) {
			o.accounts[x.Name] = true
			if x.AutomountServiceAccountToken == nil || *x.AutomountServiceAccountToken {
				o.problem("%s: automountServiceAccountToken is not false", name)
			}
		})
	case "v1 ConfigMap":
		decode(o, name, document, func(x corev1.ConfigMap) { o.configs[x.Name] = true })
	case "v1 Secret":
		o.problem("%s: a secret is written down; use an ExternalSecret", name)
	case "v1 ResourceQuota":
		decode(o, name, document, func(x corev1.ResourceQuota) { o.quota = x.Spec.Hard })
	case "v1 LimitRange":
		decode(o, name, document, func(corev1.LimitRange) {})
	case "apps/v1 Deployment":
		decode(o, name, document, func(x appsv1.Deployment) {
			count := int64(0)
			if x.Spec.Replicas != nil {
				count = int64(*x.Spec.Replicas)
			}
			o.templates[name] = workload{x.Spec.Template, true, count}
			o.replicas[name] = x.Spec.Replicas != nil
			selects(o, name, x.Spec.Selector, x.Spec.Template)
		})
	case "apps/v1 StatefulSet":
		decode(o, name, document, func(x appsv1.StatefulSet) {
			o.sets = append(o.sets, x)
			count := int64(1)
			if x.Spec.Replicas != nil {
				count = int64(*x.Spec.Replicas)
			}
			o.templates[name] = workload{x.Spec.Template, true, count}
			selects(o, name, x.Spec.Selector, x.Spec.Template)
		})
	case "batch/v1 Job":
		decode(o, name, document, func(x batchv1.Job) { o.templates[name] = workload{x.Spec.Template, false, 1} })
	case "batch/v1 CronJob":
		decode(o, name, document, func(x batchv1.CronJob) { o.templates[name] = workload{x.Spec.JobTemplate.Spec.Template, false, 1} })
	case "policy/v1 PodDisruptionBudget":
		decode(o, name, document, func(x policyv1.PodDisruptionBudget) { o.budgets = append(o.budgets, x) })
	case "networking.k8s.io/v1 NetworkPolicy":
		decode(o, name, document, func(x networkingv1.NetworkPolicy) { o.policies = append(o.policies, x) })
	case "autoscaling/v2 HorizontalPodAutoscaler":
		decode(o, name, document, func(x autoscalingv2.HorizontalPodAutoscaler) { o.scalers = append(o.scalers, x) })
	case "rbac.authorization.k8s.io/v1 Role":
		decode(o, name, document, func(x rbacv1.Role) { o.role(name, x) })
	case "rbac.authorization.k8s.io/v1 RoleBinding":
		decode(o, name, document, func(x rbacv1.RoleBinding) {
			if x.RoleRef.Kind != "Role" {
				o.problem("%s: it gives %s/%s, which is not a Role of this namespace", name, x.RoleRef.Kind, x.RoleRef.Name)
			}
			for _, s := range x.Subjects {
				if s.Kind == "ServiceAccount" && s.Namespace != x.Namespace {
					o.problem("%s: it gives the account %s of the namespace '%s' something", name, s.Name, s.Namespace)
				}
				if s.Kind == "ServiceAccount" {
					o.trusted[s.Name] = true
				}
				if s.Kind == "Group" {
					o.problem("%s: it gives a whole group, %s, something", name, s.Name)
				}
			}
		})
	case "gateway.networking.k8s.io/v1 HTTPRoute":
		decode(o, name, document, func(x gatewayv1.HTTPRoute) { o.routes = append(o.routes, x) })
	case "gateway.networking.k8s.io/v1 GatewayClass":
		decode(o, name, document, func(gatewayv1.GatewayClass) {})
	case "gateway.networking.k8s.io/v1 Gateway":
		decode(o, name, document, func(x gatewayv1.Gateway) { o.gateways[x.Name] = x })
	case "networking.gke.io/v1 GCPGatewayPolicy", "networking.gke.io/v1 GCPBackendPolicy", "networking.gke.io/v1 HealthCheckPolicy":
		decode(o, name, document, func(x gkePolicy) { o.targets[name] = x.Spec.TargetRef })
	case "monitoring.coreos.com/v1 ServiceMonitor":
		decode(o, name, document, func(x monitoringv1.ServiceMonitor) { o.serviceMonitors = append(o.serviceMonitors, x) })
	case "monitoring.coreos.com/v1 PodMonitor":
		decode(o, name, document, func(x monitoringv1.PodMonitor) { o.podMonitors = append(o.podMonitors, x) })
	case "monitoring.coreos.com/v1 PrometheusRule":
		decode(o, name, document, func(monitoringv1.PrometheusRule) {})
	case "external-secrets.io/v1 ExternalSecret":
		decode(o, name, document, func(x esv1.ExternalSecret) {
			o.externals = append(o.externals, x)
			o.secrets[x.Spec.Target.Name] = true
			given := map[string]string{}
			for _, d := range x.Spec.Data {
				given[d.SecretKey] = "x"
			}
			if _, err := fill(x, given); err != nil {
				o.problem("%s: its template: %v", name, err)
			}
		})
	case "external-secrets.io/v1 SecretStore":
		decode(o, name, document, func(x esv1.SecretStore) { o.stores[x.Name] = true })
	case "cert-manager.io/v1 Issuer":
		decode(o, name, document, func(x certmanagerv1.Issuer) { o.issuers[x.Name] = true })
	case "cert-manager.io/v1 Certificate":
		decode(o, name, document, func(x certmanagerv1.Certificate) {
			o.certs = append(o.certs, x)
			o.secrets[x.Spec.SecretName] = true
		})
	case "storage.k8s.io/v1 StorageClass":
		decode(o, name, document, func(x storagev1.StorageClass) {
			o.classes[x.Name] = true
			if x.ReclaimPolicy == nil || *x.ReclaimPolicy != corev1.PersistentVolumeReclaimRetain {
				o.problem("%s: a disk would be deleted with its claim", name)
			}
		})
	case "configuration.konghq.com/v1 KongPlugin":
		decode(o, name, document, func(x KongPlugin) { o.plugin(name, x) })
	default:
		o.problem("%s: %s is not known here", name, head.APIVersion)
	}
}

// What External Secrets makes of these values, by its own templates.
func fill(x esv1.ExternalSecret, given map[string]string) (map[string]string, error) {
	if x.Spec.Target.Template == nil {
		return given, nil
	}
	texts, values := map[string][]byte{}, map[string][]byte{}
	for key, text := range x.Spec.Target.Template.Data {
		texts[key] = []byte(text)
	}
	for key, value := range given {
		values[key] = []byte(value)
	}
	var secret corev1.Secret
	if err := template.Execute(texts, values, esv1.TemplateScopeValues, esv1.TemplateTargetData, &secret); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for key, value := range secret.Data {
		out[key] = string(value)
	}
	return out, nil
}

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

func (l labelSet) Has(key string) bool              { _, ok := l[key]; return ok }
func (l labelSet) Get(key string) string            { return l[key] }
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

func (o *objects) plugin(name string, x KongPlugin) {
	o.plugins[x.Name] = x.Plugin
	known, ok := kongSettings[x.Plugin]
	if !ok {
		o.problem("%s: the plugin %s is not known here", name, x.Plugin)
	}
	for setting := range x.Config {
		found := !ok
		for _, k := range known {
			found = found || k == setting
		}
		if !found {
			o.problem("%s: %s has no setting %s", name, x.Plugin, setting)
		}
	}
	if x.Plugin == "rate-limiting" && (x.Config["limit_by"] == "path" || x.Config["limit_by"] == "service") {
		o.problem("%s: a limit by %v lets strangers use up a tenant's budget", name, x.Config["limit_by"])
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

func (o *objects) backend(name string, b gatewayv1.HTTPBackendRef) {
	service, ok := o.services[string(b.Name)]
	if !ok {
		o.problem("%s: there is no Service/%s", name, b.Name)
		return
	}
	if b.Port == nil {
		o.problem("%s: Service/%s without a port", name, b.Name)
		return
	}
	for _, port := range service.Spec.Ports {
		if int32(*b.Port) == port.Port {
			return
		}
	}
	o.problem("%s: Service/%s has no port %d", name, b.Name, *b.Port)
}

// How Kong speaks to a Service: with a certificate, and to nobody but who has one. Services that share
// the requests of a rule must say the same, or Kong's controller takes none of them.
func (o *objects) upstream(name string, b, first gatewayv1.HTTPBackendRef) {
	service, ok := o.services[string(b.Name)]
	if !ok || len(service.Spec.Selector) == 0 {
		return
	}
	kong := func(of corev1.Service) map[string]string {
		out := map[string]string{}
		for key, value := range of.Annotations {
			if strings.HasPrefix(key, "konghq.com/") {
				out[key] = value
			}
		}
		return out
	}
	said := kong(service)
	if other, ok := o.services[string(first.Name)]; ok && !maps.Equal(said, kong(other)) {
		o.problem("%s: Kong is told other things of Service/%s than of Service/%s", name, b.Name, first.Name)
	}
	if said["konghq.com/protocol"] != "https" || said["konghq.com/tls-verify"] != "true" {
		o.problem("%s: Kong would believe whoever answers for Service/%s", name, b.Name)
	}
	named := slices.ContainsFunc(o.certs, func(c certmanagerv1.Certificate) bool {
		return slices.Contains(c.Spec.DNSNames, said["konghq.com/host-header"]) && slices.Contains(c.Spec.Usages, certmanagerv1.UsageServerAuth)
	})
	if !named || said["konghq.com/host-header"] != string(first.Name) {
		o.problem("%s: Kong does not ask Service/%s for its own name", name, b.Name)
	}
	shown := slices.ContainsFunc(o.certs, func(c certmanagerv1.Certificate) bool {
		return c.Spec.SecretName == said["konghq.com/client-cert"] && slices.Contains(c.Spec.Usages, certmanagerv1.UsageClientAuth)
	})
	if !shown {
		o.problem("%s: no Certificate for clients is what Kong shows Service/%s", name, b.Name)
	}
	believed := slices.ContainsFunc(o.externals, func(e esv1.ExternalSecret) bool {
		t := e.Spec.Target.Template
		return e.Spec.Target.Name == said["konghq.com/ca-certificates-secrets"] && t != nil && t.Metadata.Labels["konghq.com/ca-cert"] == "true" &&
			t.Metadata.Annotations["kubernetes.io/ingress.class"] == "kong" && t.Data["id"] != "" && t.Data["ca.crt"] != ""
	})
	if !believed {
		o.problem("%s: no secret holds the authority that Kong believes for Service/%s", name, b.Name)
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

func (o *objects) networkPolicy(p networkingv1.NetworkPolicy) {
	for _, in := range p.Spec.Ingress {
		if len(in.From) == 0 {
			o.problem("NetworkPolicy/%s: it lets everybody in", p.Name)
		}
		o.peers(p.Name, in.From)
	}
	for _, out := range p.Spec.Egress {
		if len(out.To) == 0 {
			o.problem("NetworkPolicy/%s: it lets out to everywhere", p.Name)
		}
		o.peers(p.Name, out.To)
	}
}

func (o *objects) peers(name string, peers []networkingv1.NetworkPolicyPeer) {
	for _, peer := range peers {
		if peer.IPBlock != nil && strings.HasSuffix(peer.IPBlock.CIDR, "/0") {
			o.problem("NetworkPolicy/%s: %s is everywhere", name, peer.IPBlock.CIDR)
		}
		if peer.NamespaceSelector != nil && peer.PodSelector == nil {
			o.problem("NetworkPolicy/%s: a namespaceSelector without a podSelector in the same item is all pods there", name)
		}
		if peer.NamespaceSelector != nil {
			for label := range peer.NamespaceSelector.MatchLabels {
				if label != corev1.LabelMetadataName {
					o.problem("NetworkPolicy/%s: no namespace has the label %s by itself", name, label)
				}
			}
		}
	}
}

func documents(file string) ([][]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for _, part := range bytes.Split(append([]byte("\n"), text...), []byte("\n---")) {
		if len(bytes.TrimSpace(part)) > 0 {
			out = append(out, part)
		}
	}
	return out, nil
}

func network(file string) error {
	folder, err := os.MkdirTemp("", "kubecheck")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "all.yaml"), text, 0o600); err != nil {
		return err
	}
	analyzer := connlist.NewConnlistAnalyzer(connlist.WithMuteErrsAndWarns(), connlist.WithExposureAnalysis())
	connections, _, err := analyzer.ConnlistFromDirPath(folder)
	if err != nil {
		return err
	}
	out, err := analyzer.ConnectionsListToString(connections)
	if err != nil {
		return err
	}
	fmt.Println(strings.TrimSpace(out))
	return nil
}

// Prints a secret that is made of the given words; returns the exit code.
func (o *objects) show(name string, words []string) int {
	given := map[string]string{}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		given[key] = value
	}
	for _, e := range o.externals {
		if e.Name != name {
			continue
		}
		made, err := fill(e, given)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		_ = json.NewEncoder(os.Stdout).Encode(made)
		return 0
	}
	fmt.Fprintln(os.Stderr, "there is no ExternalSecret/"+name)
	return 1
}

func main() {
	matrix := flag.Bool("network", false, "print who may connect to whom")
	also := flag.String("service", "", "NAME:PORT of a Service that a chart makes")
	secret := flag.String("secret", "", "print what the ExternalSecret of this name makes of the values that follow the file")
	flag.Parse()
	if flag.NArg() < 1 || (flag.NArg() > 1 && *secret == "") {
		fmt.Fprintln(os.Stderr, "usage: kubecheck [-network] [-service NAME:PORT] FILE, or kubecheck -secret NAME FILE KEY=VALUE...")
		os.Exit(2)
	}
	if *matrix {
		if err := network(flag.Arg(0)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	all, err := documents(flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	o := &objects{templates: map[string]workload{}, services: map[string]corev1.Service{}, accounts: map[string]bool{}, secrets: map[string]bool{},
		trusted: map[string]bool{}, configs: map[string]bool{}, issuers: map[string]bool{}, classes: map[string]bool{},
		gateways: map[string]gatewayv1.Gateway{}, targets: map[string]gatewayv1.LocalObjectReference{}, stores: map[string]bool{}, plugins: map[string]string{}, replicas: map[string]bool{}, namespaces: map[string]corev1.Namespace{}, inside: map[string]bool{}}
	if name, port, ok := strings.Cut(*also, ":"); ok {
		number, err := strconv.Atoi(port)
		if err != nil {
			fmt.Fprintln(os.Stderr, "-service is NAME:PORT")
			os.Exit(2)
		}
		o.services[name] = corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: int32(number)}}}}
	}
	for _, document := range all {
		o.read(document)
	}
	if *secret != "" {
		os.Exit(o.show(*secret, flag.Args()[1:]))
	}
	o.relate()
	sort.Strings(o.problems)
	for _, p := range o.problems {
		fmt.Println(p)
	}
	if len(o.problems) > 0 {
		os.Exit(1)
	}
}
