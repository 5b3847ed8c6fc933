package admin

import "strings"

// merge applies a PATCH body to a value in place. Objects merge field by
// field, null removes a field, anything else replaces. An empty object on
// either side counts as an array, as in APISIX, and so replaces: that is how
// {"plugins":{}} removes all plugins.
func merge(value, patch map[string]any) {
	for name, change := range patch {
		if change == nil {
			delete(value, name)
			continue
		}
		into, isObject := value[name].(map[string]any)
		from, both := change.(map[string]any)
		if isObject && both && len(into) > 0 && len(from) > 0 {
			merge(into, from)
			continue
		}
		value[name] = withoutNulls(change)
	}
}

// withoutNulls drops the null fields of a new object: they ask for absence.
func withoutNulls(v any) any {
	object, ok := v.(map[string]any)
	if !ok {
		return v
	}
	for name, element := range object {
		if element == nil {
			delete(object, name)
			continue
		}
		object[name] = withoutNulls(element)
	}
	return object
}

// setAt puts a JSON value at a sub-path in place. Missing objects on the way
// are made; anything else on the way is a failure that names it.
func setAt(value map[string]any, path []string, v any) *failure {
	for i, name := range path[:len(path)-1] {
		next, present := value[name]
		if !present {
			next = map[string]any{}
			value[name] = next
		}
		object, ok := next.(map[string]any)
		if !ok {
			return invalid("invalid sub-path: /%s", strings.Join(path[:i+1], "/"))
		}
		value = object
	}
	value[path[len(path)-1]] = v
	return nil
}
