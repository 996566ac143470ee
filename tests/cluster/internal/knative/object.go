package knative

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// object is a Kubernetes object, or a part of one. Not a type of the API's: a
// field that these do not know must stay.
type object = map[string]any

func kindOf(o object) string { return text(o, "kind") }

func nameOf(o object) string { return text(part(o, "metadata"), "name") }

// part returns the object at the path, nil if there is none.
func part(o object, path ...string) object {
	for _, key := range path {
		o, _ = o[key].(object)
	}
	return o
}

// parts returns the objects in the list called key.
func parts(o object, key string) []object {
	list, _ := o[key].([]any)
	var objects []object
	for _, element := range list {
		if element, isObject := element.(object); isObject {
			objects = append(objects, element)
		}
	}
	return objects
}

func text(o object, key string) string {
	value, _ := o[key].(string)
	return value
}

// decode reads YAML documents.
func decode(text []byte) ([]object, error) {
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	var objects []object
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("split it into YAML documents: %w", err)
		}
		var decoded object
		// Unlike others it keeps whole numbers whole.
		if err := utilyaml.Unmarshal(document, &decoded); err != nil {
			return nil, fmt.Errorf("read it as YAML: %w", err)
		}
		if decoded != nil { // A document may be a comment.
			objects = append(objects, decoded)
		}
	}
}

// encode writes YAML documents, their keys in order.
func encode(objects []object) ([]byte, error) {
	var all bytes.Buffer
	for _, object := range objects {
		document, err := yaml.Marshal(object)
		if err != nil {
			return nil, fmt.Errorf("write %s %s as YAML: %w; this is a defect, please report it", kindOf(object), nameOf(object), err)
		}
		all.WriteString("---\n")
		all.Write(document)
	}
	return all.Bytes(), nil
}
