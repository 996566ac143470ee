package control

import (
	"fmt"

	"fairlead.dev/tests/cluster/internal/state"
)

// Program is a program with its arguments; the name is that of the executable,
// of its log and of messages about it.
type Program struct {
	Name string
	Args []string
}

const etcdAddress = "http://127.0.0.1:2379"

// Etcd never outlives a box with its data, so it need not reach the disk.
func Etcd(folder state.Folder) Program {
	const peer = "http://127.0.0.1:2380"
	return Program{"etcd", []string{
		"--name=etcd",
		"--data-dir=" + folder.Path("etcd"),
		"--unsafe-no-fsync",
		"--listen-client-urls=" + etcdAddress,
		"--advertise-client-urls=" + etcdAddress,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=etcd=" + peer,
		"--log-level=warn",
	}}
}

// APIServer is the API server, with an audit log if one is asked for.
func APIServer(folder state.Folder, spec state.Spec) (Program, error) {
	arguments := []string{
		"--etcd-servers=" + etcdAddress,
		"--secure-port=6443",
		"--tls-cert-file=" + folder.Path("pki", "apiserver.crt"),
		"--tls-private-key-file=" + folder.Path("pki", "apiserver.key"),
		"--token-auth-file=" + folder.Path("pki", "tokens.csv"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + folder.Path("pki", "service-accounts.key"),
		"--service-account-signing-key-file=" + folder.Path("pki", "service-accounts.key"),
		"--service-cluster-ip-range=" + ServiceRange,
		"--authorization-mode=Node,RBAC",
		"--allow-privileged",
		// Pods reach the Service "kubernetes" at this address.
		"--advertise-address=" + NodeAddress,
		// Nothing resolves the node's name, which "kubectl logs" would ask for.
		"--kubelet-preferred-address-types=InternalIP",
		"--profiling=false",
	}
	if spec.AuditLog != "" {
		policy := folder.Path("audit-policy.yaml")
		if err := writeFile(policy, []byte(auditPolicy)); err != nil {
			return Program{}, fmt.Errorf("prepare the audit log: %w", err)
		}
		arguments = append(arguments, "--audit-log-path="+spec.AuditLog, "--audit-policy-file="+policy)
	}
	return Program{"kube-apiserver", arguments}, nil
}

// Who did what to which object, once per request and without contents.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// ControllerManager runs every controller with its own ServiceAccount's rights,
// as a real cluster does.
func ControllerManager(folder state.Folder) Program {
	return Program{"kube-controller-manager", []string{
		"--kubeconfig=" + folder.Path("pki", "kube-controller-manager.kubeconfig"),
		"--use-service-account-credentials",
		// Every controller asks for its token at the start, one after the other;
		// the default of 20 requests a second makes that take 5 s.
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
		"--service-account-private-key-file=" + folder.Path("pki", "service-accounts.key"),
		// Without it no pod gets the volume with its token.
		"--root-ca-file=" + folder.Path("pki", "ca.crt"),
		"--leader-elect=false",
		"--profiling=false",
	}}
}

// Scheduler is the scheduler.
func Scheduler(folder state.Folder) Program {
	return Program{"kube-scheduler", []string{
		"--kubeconfig=" + folder.Path("pki", "kube-scheduler.kubeconfig"),
		"--leader-elect=false",
		"--profiling=false",
	}}
}
