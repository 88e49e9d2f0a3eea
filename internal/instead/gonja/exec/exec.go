// Package exec has the names of gonja's evaluation that eino uses.
package exec

// Filter changes a value.
type Filter = func(*Evaluator, *Value, *VarArgs) *Value

// What a Filter is given.
type (
	Evaluator struct{}
	Value     struct{}
	VarArgs   struct{}
)

// AsValue returns a value that holds nothing.
func AsValue(any) *Value { return &Value{} }
