package node

import (
	"path"
	"strings"

	"fairlead.dev/tests/cluster/internal/control"
	"fairlead.dev/tests/cluster/internal/state"
)

// Containerd runs the containers.
func Containerd(folder state.Folder) control.Program {
	return control.Program{Name: "containerd", Args: []string{"--config=" + folder.Path("node", "containerd.toml"), "--log-level=warn"}}
}

// Kubelet runs the pods.
func Kubelet(folder state.Folder) control.Program {
	return control.Program{Name: "kubelet", Args: []string{
		"--config=" + folder.Path("node", "kubelet.yaml"),
		"--kubeconfig=" + folder.Path("pki", "kubelet.kubeconfig"),
		"--root-dir=" + folder.Path("kubelet"),
		"--hostname-override=" + control.NodeName,
		"--node-ip=" + control.NodeAddress,
	}}
}

// Proxy makes the Services' addresses work.
func Proxy(folder state.Folder) control.Program {
	return control.Program{Name: "kube-proxy", Args: []string{"--config=" + folder.Path("node", "kube-proxy.yaml")}}
}

// ApplyDNS applies CoreDNS.
func ApplyDNS(folder state.Folder) control.Program {
	return control.Program{Name: "kubectl", Args: []string{
		"--kubeconfig=" + folder.Path("pki", "admin.kubeconfig"),
		"apply", "--server-side", "--filename=" + manifest(folder),
	}}
}

// ImportImage loads an image into containerd, where the kubelet looks for it.
// The archive comes on standard input: its path may not exist in the box.
func ImportImage() control.Program {
	return control.Program{Name: "ctr", Args: append(containerdClient(), "images", "import", "-")}
}

// ListImages prints the names of the images that the kubelet can use.
func ListImages() control.Program {
	return control.Program{Name: "ctr", Args: append(containerdClient(), "images", "list", "--quiet")}
}

func containerdClient() []string {
	return []string{"--address", ContainerdSocket, "--namespace", "k8s.io"}
}

// Binary is the name of the program that one of the node's images holds.
func Binary(reference string) string {
	name, _, _ := strings.Cut(path.Base(reference), ":")
	return name
}
