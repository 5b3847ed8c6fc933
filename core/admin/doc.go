// Package admin is the Admin API: one generic resource machine over the
// configuration store, and a declaration for each kind of resource.
package admin
