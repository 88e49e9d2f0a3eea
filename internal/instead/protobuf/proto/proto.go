// Package proto stands for github.com/golang/protobuf/proto, the first
// implementation of protocol buffers, with those two functions of the second
// that the Milvus SDK calls by the old name. The original also registers types
// as the first one did and reads the descriptors of all editions for it, before
// main (docs/adr/0005-what-nobody-calls-is-not-linked.md).
package proto

import "google.golang.org/protobuf/proto"

// Message is any message.
type Message = proto.Message

// Marshal is proto.Marshal.
func Marshal(m Message) ([]byte, error) { return proto.Marshal(m) }

// Unmarshal is proto.Unmarshal.
func Unmarshal(data []byte, m Message) error { return proto.Unmarshal(data, m) }
