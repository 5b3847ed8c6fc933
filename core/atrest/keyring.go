// Package atrest encrypts the secret fields of resources as they lie in etcd,
// in the form that APISIX reads and writes.
package atrest

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"fmt"
	"strings"
)

// DefaultKeys are the keys APISIX ships. Data written under them is everywhere,
// so they must stay readable; new installations should put their own in front.
var DefaultKeys = []string{"qeddd145sfvddff3", "edd1c9f0985e76a2"}

// Keyring holds AES keys: the first encrypts, all of them decrypt. It is
// immutable and safe for concurrent use. The nil keyring changes nothing.
type Keyring struct {
	keys []key
	// keysOnly leaves plugin fields plain when writing.
	keysOnly bool
}

type key struct {
	block cipher.Block
	// iv is the first 16 bytes of the key itself: fixed by the format, which
	// makes the text of a value deterministic.
	iv []byte
}

// New returns a keyring of 16 byte (AES-128) or 32 byte (AES-256) keys.
func New(keys []string) (*Keyring, error) {
	if len(keys) == 0 {
		return nil, fmt.Errorf("data_encryption.keyring is empty: give at least one key of 16 or 32 bytes")
	}
	k := &Keyring{keys: make([]key, len(keys))}
	for i, text := range keys {
		if len(text) != 16 && len(text) != 32 {
			return nil, fmt.Errorf("data_encryption.keyring[%d] has %d bytes: a key has 16 or 32", i, len(text))
		}
		block, err := aes.NewCipher([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("data_encryption.keyring[%d]: %w", i, err)
		}
		k.keys[i] = key{block: block, iv: []byte(text)[:aes.BlockSize]}
	}
	return k, nil
}

// KeysOnly returns a keyring that encrypts private keys but no plugin fields:
// data_encryption.enable_encrypt_fields false. What is already encrypted is
// still opened.
func (k *Keyring) KeysOnly() *Keyring { return &Keyring{keys: k.keys, keysOnly: true} }

// Encrypt returns the base64 text of plain under the first key.
func (k *Keyring) Encrypt(plain string) string {
	if k == nil {
		return plain
	}
	first := k.keys[0]
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	buf := make([]byte, len(plain)+pad)
	copy(buf, plain)
	for i := len(plain); i < len(buf); i++ {
		buf[i] = byte(pad)
	}
	cipher.NewCBCEncrypter(first.block, first.iv).CryptBlocks(buf, buf)
	return base64.StdEncoding.EncodeToString(buf)
}

// Decrypt returns the plain text under the first key that fits. Text that no
// key opens is returned as it is with false: data from before encryption was
// turned on is plain.
func (k *Keyring) Decrypt(text string) (string, bool) {
	if k == nil {
		return text, false
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) == 0 || len(raw)%aes.BlockSize != 0 {
		return text, false
	}
	buf := make([]byte, len(raw))
	for _, key := range k.keys {
		cipher.NewCBCDecrypter(key.block, key.iv).CryptBlocks(buf, raw)
		if n, ok := unpadded(buf); ok {
			return string(buf[:n]), true
		}
	}
	return text, false
}

// unpadded returns the length without PKCS #7 padding.
func unpadded(buf []byte) (int, bool) {
	pad := int(buf[len(buf)-1])
	if pad == 0 || pad > aes.BlockSize {
		return 0, false
	}
	for _, b := range buf[len(buf)-pad:] {
		if int(b) != pad {
			return 0, false
		}
	}
	return len(buf) - pad, true
}

// pemMark is how a private key in plain text begins. Anything else in a key
// field is a reference or already encrypted.
const pemMark = "---"

// EncryptPEM encrypts a private key that is still plain.
func (k *Keyring) EncryptPEM(text string) string {
	if !strings.HasPrefix(text, pemMark) {
		return text
	}
	return k.Encrypt(text)
}

// DecryptPEM opens an encrypted private key; plain keys and references pass.
func (k *Keyring) DecryptPEM(text string) string {
	if strings.HasPrefix(text, pemMark) || strings.HasPrefix(text, "$") {
		return text
	}
	plain, _ := k.Decrypt(text)
	return plain
}
