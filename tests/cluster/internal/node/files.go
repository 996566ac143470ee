// Package node is what turns a control plane into a node: the settings of
// containerd, CNI, kubelet, kube-proxy and CoreDNS.
package node

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"fairlead.dev/tests/cluster/internal/control"
	"fairlead.dev/tests/cluster/internal/state"
)

//go:embed files
var files embed.FS

// What every node needs to have; the tag says that nothing newer can be pulled.
const (
	PauseImage = "docker.io/fairlead/pause:built"
	DNSImage   = "docker.io/fairlead/coredns:built"
)

// ContainerdSocket is short, and in the box's own /run: the path of a socket
// must not exceed 108 bytes.
const ContainerdSocket = "/run/containerd/containerd.sock"

// NetworkPlugins is where Debian and its kin put the CNI plugins.
const NetworkPlugins = "/usr/lib/cni"

const (
	podRange   = "10.244.0.0/24"
	dnsAddress = "10.96.0.10"
)

type settings struct {
	ContainerdRoot, ContainerdSocket, OptFolder string
	NetworkPlugins, NetworkFolder, PodRange     string
	PauseImage, DNSImage, DNSAddress            string
	Cgroup, PodLogs, VolumePlugins              string
	NodeName, ProxyKubeconfig                   string
}

// WriteFiles writes the settings of all of the node's programs.
func WriteFiles(folder state.Folder, cgroup string) error {
	values := settings{
		ContainerdRoot:   folder.Path("containerd"),
		ContainerdSocket: ContainerdSocket,
		OptFolder:        folder.Path("containerd-opt"),
		NetworkPlugins:   NetworkPlugins,
		NetworkFolder:    folder.Path("node", "network"),
		PodRange:         podRange,
		PauseImage:       PauseImage,
		DNSImage:         DNSImage,
		DNSAddress:       dnsAddress,
		Cgroup:           cgroup,
		PodLogs:          folder.Path("logs", "pods"),
		VolumePlugins:    folder.Path("kubelet", "volume-plugins"),
		NodeName:         control.NodeName,
		ProxyKubeconfig:  folder.Path("pki", "kube-proxy.kubeconfig"),
	}
	// A folder to itself: containerd takes every file in it for a network.
	if err := os.MkdirAll(values.NetworkFolder, 0o755); err != nil {
		return fmt.Errorf("create the folder %s: %w; make room or choose another --state folder", values.NetworkFolder, err)
	}
	all, err := template.ParseFS(files, "files/*")
	if err != nil {
		return fmt.Errorf("parse the node's settings: %w; this is a defect, please report it", err)
	}
	for name, path := range map[string]string{
		"network.conflist": filepath.Join(values.NetworkFolder, "pods.conflist"),
		"containerd.toml":  folder.Path("node", "containerd.toml"),
		"kubelet.yaml":     folder.Path("node", "kubelet.yaml"),
		"kube-proxy.yaml":  folder.Path("node", "kube-proxy.yaml"),
		"coredns.yaml":     manifest(folder),
	} {
		if err := render(all, name, path, values); err != nil {
			return err
		}
	}
	return nil
}

func render(all *template.Template, name, path string, values settings) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("create %s: %w; make room or choose another --state folder", path, err)
	}
	defer file.Close()
	if err := all.ExecuteTemplate(file, name, values); err != nil {
		return fmt.Errorf("write %s: %w; make room or choose another --state folder", path, err)
	}
	return nil
}

func manifest(folder state.Folder) string { return folder.Path("node", "coredns.yaml") }
