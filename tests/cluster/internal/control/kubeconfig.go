package control

import (
	"encoding/base64"
	"fmt"
)

const kubeconfigShape = `apiVersion: v1
kind: Config
current-context: %[1]s
clusters:
- name: %[1]s
  cluster:
    server: %[2]s
    certificate-authority-data: %[3]s
users:
- name: %[4]s
  user:
    token: %[5]s
contexts:
- name: %[1]s
  context:
    cluster: %[1]s
    user: %[4]s
    namespace: default
`

// The authority is embedded, so that a copy of the file works anywhere.
func kubeconfig(name, server string, authority []byte, user, token string) []byte {
	return fmt.Appendf(nil, kubeconfigShape, "fairlead-"+name, server, base64.StdEncoding.EncodeToString(authority), user, token)
}
