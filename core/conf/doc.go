// Package conf is what the user writes: resources and config.yaml, their
// schemas, defaults and checks.
package conf
