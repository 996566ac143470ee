package control

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"fairlead.dev/tests/cluster/internal/state"
)

// Client asks the API server: enough to tell what is ready, without a 140 MB
// program for every question.
type Client struct {
	http   *http.Client
	server string
	token  string
}

// NewClient returns the admin's client.
func NewClient(folder state.Folder, server string) (*Client, error) {
	authority, err := readAuthority(folder)
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(folder.Path("pki", "admin.token"))
	if err != nil {
		return nil, fmt.Errorf("read the admin's token of cluster %s: %w; run: cluster down --name %[1]s", folder.Name(), err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	return &Client{
		http: &http.Client{
			// A server that accepts and says nothing is not ready.
			Timeout:   5 * time.Second,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}},
		},
		server: server,
		token:  string(token),
	}, nil
}

// Ready returns nil when the API server has done all of its start.
func (c *Client) Ready(ctx context.Context) error {
	return c.Get(ctx, "/readyz", nil)
}

// NodeReady returns nil when the node takes pods.
func (c *Client) NodeReady(ctx context.Context) error {
	return c.condition(ctx, "/api/v1/nodes/"+NodeName, "Ready")
}

// DeploymentAvailable returns nil when the Deployment has its pods.
func (c *Client) DeploymentAvailable(ctx context.Context, namespace, name string) error {
	return c.condition(ctx, fmt.Sprintf("/apis/apps/v1/namespaces/%s/deployments/%s", namespace, name), "Available")
}

// DefaultServiceAccount returns nil when pods may be created in default.
func (c *Client) DefaultServiceAccount(ctx context.Context) error {
	return c.Get(ctx, "/api/v1/namespaces/default/serviceaccounts/default", nil)
}

// DefinitionEstablished returns nil when objects of the defined kind are served.
func (c *Client) DefinitionEstablished(ctx context.Context, name string) error {
	return c.condition(ctx, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"+name, "Established")
}

// Get reads an object into into, if that is not nil.
func (c *Client) Get(ctx context.Context, path string, into any) error {
	return c.ask(ctx, http.MethodGet, path, nil, into)
}

// TryCreate has the API server do all of a creation, webhooks included, but keep
// nothing, and reads what it would have kept into into, if that is not nil.
func (c *Client) TryCreate(ctx context.Context, path string, object, into any) error {
	body, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("encode an object for %s: %w; this is a defect, please report it", path, err)
	}
	return c.ask(ctx, http.MethodPost, path+"?dryRun=All", bytes.NewReader(body), into)
}

func (c *Client) ask(ctx context.Context, method, path string, content io.Reader, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, c.server+path, content)
	if err != nil {
		return fmt.Errorf("ask for %s: %w; this is a defect, please report it", path, err)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("ask for %s: %w; see the API server's log", path, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("read the answer to %s: %w; see the API server's log", path, err)
	}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusCreated {
		return fmt.Errorf("ask for %s: %s: %s; see the API server's log", path, response.Status, strings.TrimSpace(string(body)))
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("understand the answer to %s: %w; see the API server's log", path, err)
	}
	return nil
}

func (c *Client) condition(ctx context.Context, path, kind string) error {
	var object struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := c.Get(ctx, path, &object); err != nil {
		return err
	}
	for _, condition := range object.Status.Conditions {
		if condition.Type == kind && condition.Status == "True" {
			return nil
		} else if condition.Type == kind {
			return fmt.Errorf("%s is not %s: %s; see the logs of kubelet and containerd", path, kind, condition.Message)
		}
	}
	return fmt.Errorf("%s does not say yet whether it is %s; see the logs of kubelet and containerd", path, kind)
}
