package knative

import (
	"slices"
	"strings"
	"testing"
)

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: imc-controller
spec:
  template:
    spec:
      affinity:
        podAntiAffinity: {}
      terminationGracePeriodSeconds: 300
      serviceAccountName: imc-controller
      containers:
      - name: controller
        image: ko://knative.dev/eventing/cmd/in_memory/channel_controller
        resources:
          limits: {cpu: 200m}
        env:
        - name: DISPATCHER_IMAGE
          value: ko://knative.dev/eventing/cmd/in_memory/channel_dispatcher
        - name: WEBHOOK_PORT
          value: "8443"
        livenessProbe:
          periodSeconds: 1
        readinessProbe:
          httpGet: {port: 8443}
          initialDelaySeconds: 20
          periodSeconds: 10
`

const editedDeployment = `---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: imc-controller
spec:
  template:
    spec:
      containers:
      - args:
        - -disable-ha
        env:
        - name: DISPATCHER_IMAGE
          value: docker.io/fairlead/knative/not-built:none
        - name: WEBHOOK_PORT
          value: "8443"
        image: docker.io/fairlead/knative/channel_controller:built
        imagePullPolicy: Never
        name: controller
        readinessProbe:
          httpGet:
            port: 8443
          periodSeconds: 1
          timeoutSeconds: 5
      serviceAccountName: imc-controller
      terminationGracePeriodSeconds: 5
`

func TestADeploymentIsMadeToFitTheCluster(t *testing.T) {
	if got := fitted(t, deployment); got != editedDeployment {
		t.Errorf("the Deployment became\n%s", got)
	}
}

func TestOnlyAProgramThatElectsIsToldNotTo(t *testing.T) {
	ingress := strings.Replace(deployment, "in_memory/channel_controller", "broker/ingress", 1)
	if got := fitted(t, ingress); strings.Contains(got, "args") || !strings.Contains(got, "image: docker.io/fairlead/knative/ingress:built") {
		t.Errorf("the Deployment became\n%s", got)
	}
}

func TestAProgramThatIsNotBuiltIsAnError(t *testing.T) {
	_, err := fit(decoded(t, strings.Replace(deployment, "cmd/in_memory/channel_controller", "cmd/mtping", 1)))
	if err == nil || !strings.Contains(err.Error(), "imc-controller") || !strings.Contains(err.Error(), "cmd/mtping") {
		t.Errorf("the error is %v", err)
	}
}

func TestADeploymentWithoutContainersIsAnError(t *testing.T) {
	if _, err := fit(decoded(t, "{kind: Deployment, metadata: {name: empty}}")); err == nil {
		t.Error("there is no error")
	}
}

func TestTheRulesOfAnAggregatedClusterRoleAreLeftToTheControllerManager(t *testing.T) {
	roles := decoded(t, `
kind: ClusterRole
metadata: {name: aggregated}
aggregationRule: {clusterRoleSelectors: []}
rules: []
---
kind: ClusterRole
metadata: {name: plain}
rules: [{verbs: [get]}]
`)
	kept, err := fit(roles)
	if err != nil {
		t.Fatal(err)
	}
	if _, found := kept[0]["rules"]; found || len(parts(kept[1], "rules")) != 1 {
		t.Errorf("the roles became %v", kept)
	}
}

func TestWhatTheClusterDoesNotNeedIsLeftOut(t *testing.T) {
	kept, err := fit(decoded(t, `
{kind: HorizontalPodAutoscaler, metadata: {name: eventing-webhook}}
---
{kind: PodDisruptionBudget, metadata: {name: eventing-webhook}}
---
{kind: Deployment, metadata: {name: pingsource-mt-adapter}}
---
{kind: StatefulSet, metadata: {name: request-reply}}
---
{kind: Service, metadata: {name: job-sink}}
---
{kind: ServiceAccount, metadata: {name: job-sink}}
---
{kind: Service, metadata: {name: broker-ingress}}
`))
	if err != nil {
		t.Fatal(err)
	}
	// Bindings name the ServiceAccount.
	if got, want := named(kept), []string{"ServiceAccount job-sink", "Service broker-ingress"}; !slices.Equal(got, want) {
		t.Errorf("kept are %q", got)
	}
}

func fitted(t *testing.T, manifest string) string {
	t.Helper()
	objects, err := fit(decoded(t, manifest))
	if err != nil {
		t.Fatal(err)
	}
	text, err := encode(objects)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func decoded(t *testing.T, manifest string) []object {
	t.Helper()
	objects, err := decode([]byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func named(objects []object) []string {
	var names []string
	for _, object := range objects {
		names = append(names, kindOf(object)+" "+nameOf(object))
	}
	return names
}
