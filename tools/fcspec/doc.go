// Package fcspec holds s.yaml against Function Compute's own types: every
// function, trigger and domain in it must decode strictly into the inputs of
// the provider's SDK, and stay in the ranges that its schema names. It is a
// module of its own because that SDK is of no use to the product.
package fcspec
