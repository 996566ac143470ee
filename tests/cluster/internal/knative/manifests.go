package knative

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Where the source has what a Broker with in-memory channels needs. Left out are
// the variants with TLS, which want cert-manager.
var manifestGlobs = []string{
	"config/core/*.yaml",
	"config/core/configmaps/*.yaml",
	"config/core/resources/*.yaml",
	"config/core/roles/*.yaml",
	"config/core/deployments/*.yaml",
	"config/core/webhooks/*.yaml",
	"config/brokers/mt-channel-broker/roles/*.yaml",
	"config/brokers/mt-channel-broker/deployments/*.yaml",
	"config/channels/in-memory-channel/*.yaml",
	"config/channels/in-memory-channel/configmaps/*.yaml",
	"config/channels/in-memory-channel/resources/*.yaml",
	"config/channels/in-memory-channel/roles/*.yaml",
	"config/channels/in-memory-channel/deployments/*.yaml",
	"config/channels/in-memory-channel/webhooks/*.yaml",
	// The controller's environment refers to them.
	"third_party/eventing-integrations-latest/*images.yaml",
}

// The steps in which objects are applied. The webhooks would refuse what comes
// after them until their programs run.
const (
	stepNamespace = iota
	stepDefinitions
	stepSettings
	stepWebhooks
	stepPrograms
)

func step(o object) int {
	switch kindOf(o) {
	case "Namespace":
		return stepNamespace
	case "CustomResourceDefinition":
		return stepDefinitions
	case "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration":
		return stepWebhooks
	case "Deployment":
		return stepPrograms
	}
	return stepSettings
}

// Manifests makes the manifests from the source of knative.dev/eventing: one
// file in the order in which it is applied. The same source gives the same
// bytes.
func Manifests(source string) ([]byte, error) {
	var objects []object
	for _, glob := range manifestGlobs {
		// The names come sorted.
		paths, err := filepath.Glob(filepath.Join(source, glob))
		if err != nil || len(paths) == 0 {
			return nil, fmt.Errorf("find Knative's manifests %s in %s: there are none; give the source of the version in go.mod", glob, source)
		}
		for _, path := range paths {
			read, err := readObjects(path)
			if err != nil {
				return nil, err
			}
			objects = append(objects, read...)
		}
	}
	objects, err := fit(objects)
	if err != nil {
		return nil, err
	}
	manifests, err := encode(objects)
	if err != nil {
		return nil, err
	}
	for _, image := range Images() {
		if !bytes.Contains(manifests, []byte("image: "+image+"\n")) {
			return nil, fmt.Errorf("make Knative's manifests from %s: nothing in them runs %s; give the source of the version in go.mod", source, image)
		}
	}
	return manifests, nil
}

func readObjects(path string) ([]object, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the manifest %s: %w; make it readable", path, err)
	}
	objects, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("read the manifest %s: %w; make it again or download its module again", path, err)
	}
	return objects, nil
}

// fit selects, edits and sorts the objects.
func fit(objects []object) ([]object, error) {
	var kept []object
	for _, object := range objects {
		if !keep(object) {
			continue
		}
		if err := edit(object); err != nil {
			return nil, err
		}
		kept = append(kept, object)
	}
	slices.SortStableFunc(kept, func(a, b object) int { return step(a) - step(b) })
	return kept, nil
}
