package pdf

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/rc4"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
)

// crypt decrypts files that open without a password: their owner only
// restricts printing or editing, everybody may read them. The algorithms are
// those of ISO 32000-1 §7.6 and ISO 32000-2 §7.6.4.
type crypt struct {
	key    []byte
	aes    bool
	modern bool // AES-256: the file's key is used for every object
}

// padding fills passwords up to 32 bytes (§7.6.3.3, algorithm 2).
const padding = "\x28\xBF\x4E\x5E\x4E\x75\x8A\x41\x64\x00\x4E\x56\xFF\xFA\x01\x08\x2E\x2E\x00\xB6\xD0\x68\x3E\x80\x2F\x0C\xA9\xFE\x64\x53\x69\x7A"

// initCrypt derives the key from the empty password, or returns ErrEncrypted.
func (d *document) initCrypt() error {
	e := d.dict(d.trailer["Encrypt"])
	if d.name(e["Filter"]) != "Standard" {
		return ErrEncrypted
	}
	v, _ := d.number(e["V"])
	r, _ := d.number(e["R"])
	c := &crypt{}
	bits := 40.0
	if n, ok := d.number(e["Length"]); ok && v != 1 {
		bits = n
	}
	switch v {
	case 1, 2:
	case 4, 5:
		cf := d.dict(d.dict(e["CF"])[d.name(e["StmF"])])
		switch d.name(cf["CFM"]) {
		case "V2":
			bits = 128
		case "AESV2":
			c.aes, bits = true, 128
		case "AESV3":
			c.aes, c.modern = true, true
		default:
			return ErrEncrypted
		}
	default:
		return ErrEncrypted
	}
	if bits < 40 && bits >= 5 { // some writers count bytes
		bits *= 8
	}
	if !c.modern && (bits < 40 || bits > 128) {
		return ErrEncrypted
	}
	get := func(key name) []byte { s, _ := d.resolve(e[key]).(text); return []byte(s) }
	o, u := get("O"), get("U")
	if c.modern {
		c.key = fileKey256(u, get("UE"), int(r))
	} else {
		p, _ := d.number(e["P"])
		ids := d.array(d.trailer["ID"])
		var id text
		if len(ids) > 0 {
			id, _ = d.resolve(ids[0]).(text)
		}
		meta, isBool := d.resolve(e["EncryptMetadata"]).(bool)
		c.key = fileKey(o, u, []byte(id), uint32(int64(p)), int(bits)/8, int(r), isBool && !meta)
	}
	if c.key == nil {
		return ErrEncrypted
	}
	clear(d.objects) // strings read so far are still encrypted
	clear(d.packed)
	d.crypt = c
	return nil
}

// fileKey is algorithm 2 with the empty password, checked by algorithm 6; nil
// if a password is needed.
func fileKey(o, u, id []byte, p uint32, n, r int, clearMeta bool) []byte {
	if len(o) < 32 || len(u) < 16 {
		return nil
	}
	h := md5.New()
	h.Write([]byte(padding))
	h.Write(o[:32])
	h.Write(binary.LittleEndian.AppendUint32(nil, p))
	h.Write(id)
	if clearMeta && r >= 4 {
		h.Write([]byte{0xff, 0xff, 0xff, 0xff})
	}
	key := h.Sum(nil)
	if r < 3 {
		n = 5
	} else {
		for range 50 {
			s := md5.Sum(key[:n])
			key = s[:]
		}
	}
	key = key[:n]
	check := []byte(padding)
	if r >= 3 {
		h.Reset()
		h.Write([]byte(padding))
		h.Write(id)
		check = h.Sum(nil)
	}
	check = rc4Bytes(key, check)
	if r >= 3 {
		for i := byte(1); i <= 19; i++ {
			k := bytes.Clone(key)
			for j := range k {
				k[j] ^= i
			}
			check = rc4Bytes(k, check)
		}
	}
	if !bytes.Equal(check[:16], u[:16]) {
		return nil
	}
	return key
}

// fileKey256 is algorithm 2.A of ISO 32000-2 with the empty password.
func fileKey256(u, ue []byte, r int) []byte {
	if len(u) < 48 || len(ue) < 32 {
		return nil
	}
	hash := func(salt []byte) []byte {
		if r < 6 {
			s := sha256.Sum256(salt)
			return s[:]
		}
		return hash2B(salt)
	}
	if !bytes.Equal(hash(u[32:40]), u[:32]) {
		return nil
	}
	block, err := aes.NewCipher(hash(u[40:48]))
	if err != nil {
		return nil
	}
	key := make([]byte, 32)
	cipher.NewCBCDecrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(key, ue[:32])
	return key
}

// hash2B is algorithm 2.B of ISO 32000-2 with the empty password.
func hash2B(salt []byte) []byte {
	s := sha256.Sum256(salt)
	k := s[:]
	for i := 0; ; i++ {
		k1 := bytes.Repeat(k, 64)
		block, err := aes.NewCipher(k[:16])
		if err != nil {
			return nil
		}
		cipher.NewCBCEncrypter(block, k[16:32]).CryptBlocks(k1, k1)
		sum := 0
		for _, c := range k1[:16] {
			sum += int(c)
		}
		switch sum % 3 {
		case 0:
			h := sha256.Sum256(k1)
			k = h[:]
		case 1:
			h := sha512.Sum384(k1)
			k = h[:]
		default:
			h := sha512.Sum512(k1)
			k = h[:]
		}
		if i >= 63 && int(k1[len(k1)-1]) <= i+1-32 {
			return k[:32]
		}
	}
}

func rc4Bytes(key, data []byte) []byte {
	out := make([]byte, len(data))
	c, err := rc4.NewCipher(key)
	if err != nil {
		return out
	}
	c.XORKeyStream(out, data)
	return out
}

// bytes decrypts one string or stream of the object id.
func (c *crypt) bytes(data []byte, id ref) []byte {
	key := c.key
	if !c.modern {
		h := md5.New()
		h.Write(key)
		h.Write([]byte{byte(id.num), byte(id.num >> 8), byte(id.num >> 16), byte(id.gen), byte(id.gen >> 8)})
		if c.aes {
			h.Write([]byte("sAlT"))
		}
		key = h.Sum(nil)[:min(len(c.key)+5, 16)]
	}
	if !c.aes {
		return rc4Bytes(key, data)
	}
	if len(data) < 2*aes.BlockSize {
		return nil
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil
	}
	iv, body := data[:aes.BlockSize], data[aes.BlockSize:]
	body = bytes.Clone(body[:len(body)/aes.BlockSize*aes.BlockSize])
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(body, body)
	if pad := int(body[len(body)-1]); pad >= 1 && pad <= aes.BlockSize {
		body = body[:len(body)-pad]
	}
	return body
}

func (c *crypt) stream(data []byte, s *stream) []byte { return c.bytes(data, s.id) }

// strings decrypts the strings in an object.
func (c *crypt) strings(o any, id ref, depth int) any {
	if depth > maxDepth {
		return o
	}
	switch o := o.(type) {
	case text:
		return text(c.bytes([]byte(o), id))
	case array:
		for i := range o {
			o[i] = c.strings(o[i], id, depth+1)
		}
	case dict:
		for k := range o {
			o[k] = c.strings(o[k], id, depth+1)
		}
	}
	return o
}
