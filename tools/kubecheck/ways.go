// The ways in and out: routes, the gateway, network policies.

package main

import (
	"maps"
	"slices"
	"strings"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	esv1 "github.com/external-secrets/external-secrets/apis/externalsecrets/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

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
