package knative

import (
	"errors"
	"fmt"
)

// Plan is how the manifests are applied.
type Plan struct {
	// Foundation is all that the programs must find when they start, and Programs
	// the rest.
	Foundation, Programs []byte
	// Definitions and Deployments are the names of what must become ready.
	Definitions, Deployments []string
}

// ReadPlan reads the file that Manifests made.
func ReadPlan(path string) (Plan, error) {
	objects, err := readObjects(path)
	if err != nil {
		return Plan{}, err
	}
	plan, err := newPlan(objects)
	if err != nil {
		return Plan{}, fmt.Errorf("plan to apply %s: %w", path, err)
	}
	return plan, nil
}

func newPlan(objects []object) (Plan, error) {
	var plan Plan
	var foundation, programs []object
	for _, object := range objects {
		switch step(object) {
		case stepDefinitions:
			plan.Definitions = append(plan.Definitions, nameOf(object))
		case stepPrograms:
			plan.Deployments = append(plan.Deployments, nameOf(object))
		}
		if step(object) < stepWebhooks {
			foundation = append(foundation, object)
		} else {
			programs = append(programs, object)
		}
	}
	if len(plan.Definitions) == 0 || len(plan.Deployments) == 0 {
		return Plan{}, errors.New("it defines or runs nothing; make it again with \"cluster knative-manifests\"")
	}
	var err error
	if plan.Foundation, err = encode(foundation); err != nil {
		return Plan{}, err
	}
	plan.Programs, err = encode(programs)
	return plan, err
}
