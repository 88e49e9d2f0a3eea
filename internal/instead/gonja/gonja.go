// Package gonja stands for github.com/nikolalohinski/gonja, by which eino
// formats prompts written in Jinja. Ours are not; what is left are the names
// that eino calls, and an error for who formats one all the same. The original
// calls methods by their names, so that the linker must keep every method of
// every type: a fifth of the function chat
// (docs/adr/0005-what-nobody-calls-is-not-linked.md).
package gonja

import (
	"errors"

	"github.com/nikolalohinski/gonja/config"
	"github.com/nikolalohinski/gonja/exec"
	"github.com/nikolalohinski/gonja/parser"
)

// ErrNone is what formatting a prompt ends with.
var ErrNone = errors.New("gonja: prompts in Jinja are not part of this build")

// DefaultLoader loads nothing.
const DefaultLoader = Loader("")

// Loader names where templates come from.
type Loader string

// Environment is what eino makes once and takes statements and filters from.
type Environment struct {
	Statements Set[parser.Statement]
	Filters    Set[exec.Filter]
}

// NewEnvironment returns an environment without any.
func NewEnvironment(config.Config, Loader) *Environment { return &Environment{} }

// FromString returns ErrNone.
func (*Environment) FromString(string) (*Template, error) { return nil, ErrNone }

// Set is an empty set of things with names.
type Set[T any] struct{}

// Exists reports that there is none.
func (Set[T]) Exists(string) bool { return false }

// Replace returns ErrNone: there is nothing to replace.
func (Set[T]) Replace(string, T) error { return ErrNone }

// Template is what there is none of.
type Template struct{}

// Execute returns ErrNone.
func (*Template) Execute(map[string]any) (string, error) { return "", ErrNone }
