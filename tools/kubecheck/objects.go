// What is read: objects of Kubernetes and of what is installed beside it, decoded strictly.

package main

import (
	"fmt"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	esv1 "github.com/external-secrets/external-secrets/apis/externalsecrets/v1"
	"github.com/external-secrets/external-secrets/pkg/template/v2"
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
