// Package nodes has the name of gonja's statements.
package nodes

// Statement is what a parser makes.
type Statement any
