package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
)

const envReference = "$env://"

// resolveSecret returns the value that a reference stands for: $env://NAME, or
// $env://NAME/field of a variable that holds a JSON object. Secret managers
// are not spoken to yet: such a credential admits nobody.
func resolveSecret(reference string) (string, error) {
	if len(reference) < len(envReference) || !strings.EqualFold(reference[:len(envReference)], envReference) {
		return "", errors.New("only references of the form $env://NAME are resolved")
	}
	name, field, nested := strings.Cut(reference[len(envReference):], "/")
	value, ok := os.LookupEnv(name)
	if !ok {
		return "", fmt.Errorf("the environment has no variable %s", name)
	}
	if !nested {
		return value, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(value), &fields); err != nil {
		return "", fmt.Errorf("the variable %s is no JSON object", name)
	}
	raw, ok := fields[field]
	if !ok {
		return "", fmt.Errorf("the variable %s has no field %s", name, field)
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, nil
	}
	return string(raw), nil
}
