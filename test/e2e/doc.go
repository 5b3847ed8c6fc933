// Package e2e holds the black-box tests of the gateway: they start the real
// binary and look at it from outside only.
package e2e
