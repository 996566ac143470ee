// Package control is the control plane: its credentials, its programs, and a
// client that asks whether it is ready.
package control

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"

	"fairlead.dev/tests/cluster/internal/state"
)

// The addresses inside every box: its network is its own, so they never clash.
const (
	NodeAddress      = "192.0.2.2"
	GatewayAddress   = "192.0.2.1"
	ServiceRange     = "10.96.0.0/16"
	apiServiceIP     = "10.96.0.1"
	APIServerAddress = "127.0.0.1:6443"
)

// A cluster for tests does not live to see its certificates expire.
const validity = 365 * 24 * time.Hour

func writePKI(folder state.Folder) error {
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the authority's key: %w; is the system's random source there?", err)
	}
	authority := certificate(1, "fairlead test cluster")
	authority.IsCA, authority.BasicConstraintsValid = true, true
	authority.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	if err := writeCertificate(folder.Path("pki", "ca.crt"), authority, authority, authorityKey, authorityKey); err != nil {
		return err
	}

	servingKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the API server's key: %w; is the system's random source there?", err)
	}
	serving := certificate(2, "kube-apiserver")
	serving.KeyUsage = x509.KeyUsageDigitalSignature
	serving.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	serving.IPAddresses = []net.IP{net.ParseIP("127.0.0.1"), net.ParseIP(apiServiceIP), net.ParseIP(NodeAddress)}
	serving.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	if err := writeCertificate(folder.Path("pki", "apiserver.crt"), serving, authority, servingKey, authorityKey); err != nil {
		return err
	}
	if err := writeKey(folder.Path("pki", "apiserver.key"), servingKey); err != nil {
		return err
	}

	accountsKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the ServiceAccounts' key: %w; is the system's random source there?", err)
	}
	return writeKey(folder.Path("pki", "service-accounts.key"), accountsKey)
}

func certificate(serial int64, name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour), // For clients whose clock is behind.
		NotAfter:     now.Add(validity),
	}
}

func writeCertificate(path string, subject, issuer *x509.Certificate, key, issuerKey *ecdsa.PrivateKey) error {
	signed, err := x509.CreateCertificate(rand.Reader, subject, issuer, &key.PublicKey, issuerKey)
	if err != nil {
		return fmt.Errorf("sign the certificate %s: %w; this is a defect, please report it", path, err)
	}
	return writePEM(path, "CERTIFICATE", signed)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	// Of the encodings of a key, the one from which the API server also takes the
	// public half.
	encoded, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode the key %s: %w; this is a defect, please report it", path, err)
	}
	return writePEM(path, "EC PRIVATE KEY", encoded)
}

func writePEM(path, kind string, content []byte) error {
	return writeFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}))
}

// Only the owner may read: every file written here gives access.
func writeFile(path string, content []byte) error {
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return fmt.Errorf("write %s: %w; make room or choose another --state folder", path, err)
	}
	return nil
}
