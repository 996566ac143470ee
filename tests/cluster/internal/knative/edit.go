package knative

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// One node has nothing to scale on and nothing to spread over.
var skippedKinds = []string{"HorizontalPodAutoscaler", "PodDisruptionBudget"}

// No Broker needs these programs, so that they are not built.
var (
	skippedPrograms = []string{"job-sink", "pingsource-mt-adapter", "request-reply"}
	programKinds    = []string{"Deployment", "Service", "StatefulSet"}
)

// Wanted from the environment by programs that never use it here.
const unusedImage = "docker.io/fairlead/knative/not-built:none"

// keep tells whether the cluster needs the object.
func keep(o object) bool {
	switch kind := kindOf(o); {
	case slices.Contains(skippedKinds, kind):
		return false
	case slices.Contains(programKinds, kind):
		return !slices.Contains(skippedPrograms, nameOf(o))
	}
	return true
}

// edit makes the object fit the cluster.
func edit(o object) error {
	switch kindOf(o) {
	case "ClusterRole":
		// They are the controller manager's to fill in; a second apply would take
		// the empty list for a conflict.
		if o["aggregationRule"] != nil {
			delete(o, "rules")
		}
	case "Deployment":
		if err := editPod(part(o, "spec", "template", "spec")); err != nil {
			return fmt.Errorf("edit the Deployment %s: %w", nameOf(o), err)
		}
	}
	return nil
}

func editPod(pod object) error {
	containers := parts(pod, "containers")
	if len(containers) == 0 {
		return errors.New("it has no containers; give the source of the version in go.mod")
	}
	delete(pod, "affinity")
	// Five minutes upstream, which every restart would take.
	pod["terminationGracePeriodSeconds"] = int64(5)
	for _, container := range containers {
		if err := editContainer(container); err != nil {
			return err
		}
	}
	return nil
}

func editContainer(container object) error {
	image := text(container, "image")
	index := slices.IndexFunc(programs, func(p program) bool { return image == sourcePrefix+p.path })
	if index < 0 {
		return fmt.Errorf("its image %q is none of those that are built; add the program to go.mod and to the list here, or skip it", image)
	}
	container["image"] = programs[index].image()
	container["imagePullPolicy"] = "Never"
	if programs[index].elects {
		// Otherwise a program that is restarted waits until the lease of the one
		// before it has run out.
		container["args"] = []any{"-disable-ha"}
	}
	for _, variable := range parts(container, "env") {
		if strings.HasPrefix(text(variable, "value"), "ko://") {
			variable["value"] = unusedImage
		}
	}
	// The machine is small and shared: nothing is set aside, a slow program is not
	// slowed down further, and no slow answer is a reason to restart it.
	delete(container, "resources")
	delete(container, "livenessProbe")
	if readiness := part(container, "readinessProbe"); readiness != nil {
		delete(readiness, "initialDelaySeconds")
		readiness["periodSeconds"] = int64(1)
		readiness["timeoutSeconds"] = int64(5)
	}
	return nil
}
