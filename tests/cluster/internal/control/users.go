package control

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"

	"fairlead.dev/tests/cluster/internal/state"
)

// NodeName is the only node's name.
const NodeName = "node"

// user is somebody who shows a token. The names and groups are those that the
// default RBAC rules and the node authorizer know.
type user struct{ file, name, group string }

var users = []user{
	{"admin", "admin", "system:masters"},
	{"kube-controller-manager", "system:kube-controller-manager", ""},
	{"kube-scheduler", "system:kube-scheduler", ""},
	{"kubelet", "system:node:" + NodeName, "system:nodes"},
	{"kube-proxy", "system:kube-proxy", ""},
}

// WriteCredentials makes all keys, certificates, tokens and kubeconfigs.
func WriteCredentials(folder state.Folder, port int) error {
	if err := os.MkdirAll(folder.Path("pki"), 0o700); err != nil {
		return fmt.Errorf("create the folder for the keys of cluster %s: %w; choose another --state folder", folder.Name(), err)
	}
	if err := writePKI(folder); err != nil {
		return err
	}
	authority, err := readAuthority(folder)
	if err != nil {
		return err
	}
	var tokens strings.Builder
	for _, user := range users {
		token := rand.Text()
		fmt.Fprintf(&tokens, "%s,%s,%s,%q\n", token, user.name, user.name, user.group)
		inside := kubeconfig(folder.Name(), "https://"+APIServerAddress, authority, user.name, token)
		if err := writeFile(folder.Path("pki", user.file+".kubeconfig"), inside); err != nil {
			return err
		}
		if user.file != "admin" {
			continue
		}
		if err := writeFile(folder.Path("pki", "admin.token"), []byte(token)); err != nil {
			return err
		}
		outside := kubeconfig(folder.Name(), fmt.Sprintf("https://127.0.0.1:%d", port), authority, user.name, token)
		if err := writeFile(folder.Kubeconfig(), outside); err != nil {
			return err
		}
	}
	return writeFile(folder.Path("pki", "tokens.csv"), []byte(tokens.String()))
}

func readAuthority(folder state.Folder) ([]byte, error) {
	authority, err := os.ReadFile(folder.Path("pki", "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("read the certificate authority of cluster %s: %w; run: cluster down --name %[1]s", folder.Name(), err)
	}
	return authority, nil
}
