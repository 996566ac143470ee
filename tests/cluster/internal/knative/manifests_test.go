package knative

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTheSameSourceGivesTheSameManifests(t *testing.T) {
	folder := source(t, programs)
	first, err := Manifests(folder)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Manifests(folder)
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("the manifests differ, %v", err)
	}
}

func TestAProgramThatNoManifestRunsIsAnError(t *testing.T) {
	_, err := Manifests(source(t, programs[1:]))
	if err == nil || !strings.Contains(err.Error(), programs[0].image()) {
		t.Errorf("the error is %v", err)
	}
}

func TestAFolderWithoutTheManifestsIsAnError(t *testing.T) {
	if _, err := Manifests(t.TempDir()); err == nil || !strings.Contains(err.Error(), manifestGlobs[0]) {
		t.Errorf("the error is %v", err)
	}
}

func TestWhatIsAppliedFirstComesFirst(t *testing.T) {
	kept, err := fit(decoded(t, `
{kind: MutatingWebhookConfiguration, metadata: {name: defaulting}}
---
{kind: ConfigMap, metadata: {name: second}}
---
{kind: ConfigMap, metadata: {name: first}}
---
{kind: CustomResourceDefinition, metadata: {name: brokers}}
---
{kind: Namespace, metadata: {name: knative-eventing}}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"Namespace knative-eventing", "CustomResourceDefinition brokers",
		"ConfigMap second", "ConfigMap first", "MutatingWebhookConfiguration defaulting",
	}
	if got := named(kept); !slices.Equal(got, want) {
		t.Errorf("the order is %q", got)
	}
}

func TestValuesSurviveTheWayThroughYAML(t *testing.T) {
	const document = `---
a: 9007199254740993
b: "8443"
c: |
  # a comment in a text that has a checksum

  key: value
d: 0.5
e: ""
`
	text, err := encode(decoded(t, "# only a comment\n---\n"+document))
	if err != nil || string(text) != document {
		t.Errorf("they became\n%s, %v", text, err)
	}
}

func TestThePlanIsAppliedInTwoSteps(t *testing.T) {
	plan, err := newPlan(decoded(t, `
{kind: Namespace, metadata: {name: knative-eventing}}
---
{kind: CustomResourceDefinition, metadata: {name: brokers}}
---
{kind: Service, metadata: {name: broker-ingress}}
---
{kind: ValidatingWebhookConfiguration, metadata: {name: validation}}
---
{kind: Deployment, metadata: {name: mt-broker-ingress}}
`))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(plan.Definitions, []string{"brokers"}) || !slices.Equal(plan.Deployments, []string{"mt-broker-ingress"}) {
		t.Errorf("it waits for %q and %q", plan.Definitions, plan.Deployments)
	}
	if got := named(decoded(t, string(plan.Foundation))); len(got) != 3 {
		t.Errorf("first come %q", got)
	}
	if got := named(decoded(t, string(plan.Programs))); len(got) != 2 {
		t.Errorf("then come %q", got)
	}
}

func TestAPlanOfNothingIsAnError(t *testing.T) {
	if _, err := newPlan(nil); err == nil {
		t.Error("there is no error")
	}
}

// source is a folder like that of the module, in which Deployments run the
// given programs.
func source(t *testing.T, programs []program) string {
	t.Helper()
	folder := t.TempDir()
	for index, glob := range manifestGlobs {
		write(t, filepath.Join(folder, strings.Replace(glob, "*", "example-", 1)),
			fmt.Sprintf("{kind: ConfigMap, metadata: {name: example-%d}}", index))
	}
	for _, program := range programs {
		name := filepath.Base(program.path)
		write(t, filepath.Join(folder, "config/core/deployments", name+".yaml"), fmt.Sprintf(
			"{kind: Deployment, metadata: {name: %s}, spec: {template: {spec: {containers: [{image: %q}]}}}}", name, sourcePrefix+program.path))
	}
	return folder
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
