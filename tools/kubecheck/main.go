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
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/np-guard/netpol-analyzer/pkg/netpol/connlist"
	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

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
