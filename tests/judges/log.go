// Checks a served log, and proofs from it, with golang.org/x/mod/sumdb: the code of the Go checksum database,
// which knows nothing of ours.
//
// Cosignatures, which that code does not know, are checked here by the words of C2SP tlog-cosignature.
//
//	log URL KEY [-old CHECKPOINT]... [-witness KEY]... [PROOF]...
package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func fetch(url string) []byte {
	answer, err := http.Get(url)
	must(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	must(err)
	if answer.StatusCode != 200 {
		must(fmt.Errorf("%s: %s", url, answer.Status))
	}
	return body
}

// tree opens a checkpoint that the log's key signed.
func tree(text string, key string) tlog.Tree {
	verifier, err := note.NewVerifier(key)
	must(err)
	opened, err := note.Open([]byte(text), note.VerifierList(verifier))
	must(err)
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		must(fmt.Errorf("not a checkpoint of %s: %q", verifier.Name(), opened.Text))
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	root, err := tlog.ParseHash(lines[2])
	must(err)
	return tlog.Tree{N: size, Hash: root}
}

// witness checks the cosignatures of one key.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func newWitness(text string) witness {
	parts := strings.SplitN(text, "+", 3)
	if len(parts) != 3 {
		must(fmt.Errorf("%s is no key", text))
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	must(err)
	if len(key) != 33 || key[0] != 4 {
		must(fmt.Errorf("%s is no key of a witness", text))
	}
	hash := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	return witness{parts[0], binary.BigEndian.Uint32(hash[:4]), key[1:]}
}

func (w witness) Name() string { return w.name }

func (w witness) KeyHash() uint32 { return w.hash }

func (w witness) Verify(message, signature []byte) bool {
	if len(signature) != 72 {
		return false
	}
	at := binary.BigEndian.Uint64(signature)
	signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", at, message)
	return ed25519.Verify(w.key, []byte(signed), signature[8:])
}

// tiles reads the served tiles, whose paths lack the height that Go writes.
type tiles struct{ url string }

func (t tiles) Height() int { return 8 }

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var read [][]byte
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		read = append(read, fetch(t.url+"/"+path))
	}
	return read, nil
}

// entries reads every entry of the log from its bundles.
func entries(url string, size int64) [][]byte {
	var all [][]byte
	for n := int64(0); n*256 < size; n++ {
		width := size - n*256
		if width > 256 {
			width = 256
		}
		path := tlog.Tile{H: 8, L: 0, N: n, W: int(width)}.Path()
		bundle := fetch(url + "/" + strings.Replace(path, "tile/8/0/", "tile/entries/", 1))
		for len(bundle) > 0 {
			length := int(binary.BigEndian.Uint16(bundle))
			all = append(all, bundle[2:2+length])
			bundle = bundle[2+length:]
		}
	}
	if int64(len(all)) != size {
		must(fmt.Errorf("%d entries in a log of %d", len(all), size))
	}
	return all
}

func checkProof(path string, key string, witnesses []witness) {
	text, err := os.ReadFile(path)
	must(err)
	head, checkpoint, found := strings.Cut(string(text), "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		must(fmt.Errorf("%s is no proof", path))
	}
	extra, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	must(err)
	var opening struct{ Entry json.RawMessage }
	must(json.Unmarshal(extra, &opening))
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	must(err)
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		must(err)
		proof = append(proof, hash)
	}
	signed := tree(checkpoint, key)
	for _, witness := range witnesses {
		_, err := note.Open([]byte(checkpoint), note.VerifierList(witness))
		must(err)
	}
	must(tlog.CheckRecord(proof, signed.N, signed.Hash, index, tlog.RecordHash(opening.Entry)))
}

func main() {
	url, key, rest := os.Args[1], os.Args[2], os.Args[3:]
	head := tree(string(fetch(url+"/checkpoint")), key)
	reader := tlog.TileHashReader(head, tiles{url})
	if head.N > 0 {
		root, err := tlog.TreeHash(head.N, reader)
		must(err)
		if root != head.Hash {
			must(fmt.Errorf("the tiles lead to another root"))
		}
	}
	for index, entry := range entries(url, head.N) {
		proof, err := tlog.ProveRecord(head.N, int64(index), reader)
		must(err)
		must(tlog.CheckRecord(proof, head.N, head.Hash, int64(index), tlog.RecordHash(entry)))
	}
	proofs, olds := 0, 0
	var witnesses []witness
	for len(rest) > 0 {
		if rest[0] == "-old" {
			text, err := os.ReadFile(rest[1])
			must(err)
			old := tree(string(text), key)
			proof, err := tlog.ProveTree(head.N, old.N, reader)
			must(err)
			must(tlog.CheckTree(proof, head.N, head.Hash, old.N, old.Hash))
			olds, rest = olds+1, rest[2:]
			continue
		}
		if rest[0] == "-witness" {
			witnesses, rest = append(witnesses, newWitness(rest[1])), rest[2:]
			continue
		}
		checkProof(rest[0], key, witnesses)
		proofs, rest = proofs+1, rest[1:]
	}
	fmt.Printf("entries %d, proofs %d, older checkpoints %d\n", head.N, proofs, olds)
}
